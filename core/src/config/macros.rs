//! The one macro that declares settings: from each list come the struct, its defaults, its reading and
//! writing with serde, its checks, and its table of keys.

/// Declares a section of settings.
///
/// Each field is `name: type = default[, Unit min..=max];` with its documentation, which is also the
/// documentation of the key. The literal after `in` is what stands before the names of its keys. Sections
/// within sections come in brackets.
///
/// ```
/// tidings_core::settings! {
///     /// How the kettle boils.
///     #[derive(Eq)]
///     pub struct Kettle in "kettle." {
///         /// When it is hot enough.
///         celsius: u32 = 95, Count 40..=100;
///         /// Whether it whistles.
///         whistle: bool = true;
///     }
/// }
/// let faults = Kettle { celsius: 200, ..Kettle::default() }.validate().unwrap_err();
/// assert_eq!(faults[0].to_string(), "kettle.celsius = 200: 40 to 100");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $prefix:literal
        $([ $( $(#[doc = $about:literal])* $section:ident : $sections:ty ),* $(,)? ])?
        {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $ty:ty = $default:expr $(, $unit:ident $range:expr)? ;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $name {
            $($(
                $(#[doc = $about])*
                $vis $section: $sections,
            )*)?
            $(
                $(#[doc = $doc])*
                $vis $field: $ty,
            )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self {
                    $($( $section: ::core::default::Default::default(), )*)?
                    $( $field: $default, )*
                }
            }
        }

        impl $name {
            const TABLES: &'static [&'static [$crate::config::Key]] = &[
                $($( <$sections>::KEYS, )*)?
                &[ $(
                    $crate::config::Key::new::<$ty>(
                        concat!($prefix, stringify!($field)),
                        $crate::settings!(@bounds $($unit $range)?),
                        concat!($($doc),*),
                        || {
                            let value: $ty = $default;
                            ::serde_json::to_value(value).unwrap_or_default()
                        },
                    ),
                )* ],
            ];

            /// The table of all its keys, those of its sections included.
            $vis const KEYS: &'static [$crate::config::Key] =
                &$crate::config::concat::<{ $crate::config::count(Self::TABLES) }>(Self::TABLES);

            /// Adds to `faults` every value that is out of its range.
            $vis fn check_ranges(&self, faults: &mut ::std::vec::Vec<$crate::config::ConfigFault>) {
                $($( self.$section.check_ranges(faults); )*)?
                $(
                    $crate::config::Setting::check(
                        &self.$field,
                        $crate::settings!(@bounds $($unit $range)?),
                        concat!($prefix, stringify!($field)),
                        faults,
                    );
                )*
            }
        }

        $crate::settings!(@validate $vis $name [$($($section)*)?]);
    };
    (@validate $vis:vis $name:ident [$($section:ident)+]) => {};
    (@validate $vis:vis $name:ident []) => {
        impl $name {
            /// Checks every value against its range.
            ///
            /// # Errors
            /// Every fault, with the key, the value and the allowed range.
            #[allow(dead_code, reason = "a section within another is checked with it")]
            $vis fn validate(&self) -> ::core::result::Result<(), ::std::vec::Vec<$crate::config::ConfigFault>> {
                let mut faults = ::std::vec::Vec::new();
                self.check_ranges(&mut faults);
                if faults.is_empty() { Ok(()) } else { Err(faults) }
            }
        }
    };
    (@bounds) => { $crate::config::Bounds::NONE };
    (@bounds $unit:ident $range:expr) => {{
        let range: ::core::ops::RangeInclusive<u64> = $range;
        $crate::config::Bounds::new($crate::config::Unit::$unit, *range.start(), *range.end())
    }};
}
