//! The catalog: all event types that a server knows, the built-in ones and the application's.

use std::fmt;

use thiserror::Error;

use super::conflation::{ConflationRule, KEYS_MAX};
use super::custom::{self, CustomShape, CustomType};
use super::fault::cut;
use super::filter::is_data_path;
use super::pattern::is_type_name;
use super::priority::Priority;
use super::schema::{DOCUMENT_ID, schema_id};
use super::types::{TYPES, TypeSpec};

/// An event type, as an index in the [`Catalog`] that gave it: built-in types first, then the application's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(u16);

impl TypeId {
    /// The index, below [`Catalog::len`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Why a configuration gives no catalog.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// A type's name is not of the form `category.name`.
    #[error("event type {0:?}: a name is two words of a-z, 0-9 and _ with a dot between them")]
    Name(String),
    /// A type's name is taken.
    #[error("event type {0:?} is there already; choose another name")]
    Duplicate(String),
    /// More types than a catalog holds.
    #[error("at most {max} event types can be added", max = Catalog::CUSTOM_MAX)]
    TooMany,
    /// A type's schema is not a JSON Schema.
    #[error("event type {name:?}: its schema is not usable: {reason}")]
    Schema {
        /// The type.
        name: String,
        /// What is wrong with the schema.
        reason: String,
    },
    /// A type's schema refers to another document.
    #[error("event type {name:?}: its schema refers to {uri}; nothing is fetched, put it under `$defs`")]
    RemoteReference {
        /// The type.
        name: String,
        /// What the schema refers to.
        uri: String,
    },
    /// The schemas cannot stand in one document.
    #[error("the schemas of the event types cannot stand in one document: {0}")]
    Document(String),
    /// Two schemas have one name.
    #[error("two schemas of event types have the `$id` {0:?}")]
    SchemaId(String),
    /// A conflation rule names a type that there is not.
    #[error("conflation: {0:?} is not an event type")]
    RuleType(String),
    /// Two conflation rules name one type.
    #[error("conflation: {0:?} has two rules")]
    RuleTwice(String),
    /// A key of a conflation rule is not a dotted path into data, or there are too many.
    #[error("conflation: the keys of {0:?} must be at most {KEYS_MAX} dotted paths into data")]
    RuleKeys(String),
}

/// All event types that a server knows.
pub struct Catalog {
    types: Box<[Known]>,
    /// Sorted by name.
    by_name: Box<[TypeId]>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types.iter().map(|known| &known.name)).finish()
    }
}

/// One type of the catalog.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: Box<str>,
    pub(super) priority: Priority,
    pub(super) shape: DataShape,
    /// Paths of the conflation key, where there is a rule.
    pub(super) conflation: Option<Box<[Box<str>]>>,
}

/// What data of a type must look like.
#[derive(Debug)]
pub(super) enum DataShape {
    BuiltIn(&'static TypeSpec),
    Custom(Box<CustomShape>),
}

impl Catalog {
    /// Types that an application can add.
    pub const CUSTOM_MAX: usize = 1024;

    /// The catalog of the built-in types and of `custom`, with the rules of `conflation`, or where that is none
    /// those of PROTOCOL §5.
    ///
    /// # Errors
    /// [`CatalogError`] with the first type or rule at fault.
    pub fn new(
        custom: Vec<CustomType>,
        conflation: Option<Vec<ConflationRule>>,
    ) -> Result<Self, CatalogError> {
        if Self::CUSTOM_MAX < custom.len() {
            return Err(CatalogError::TooMany);
        }
        let mut catalog = Self::without_rules();
        if !custom.is_empty() {
            let mut types = catalog.types.into_vec();
            for custom in custom {
                types.push(Known::custom(custom)?);
            }
            catalog = Self::indexed(types)?;
            catalog.check_document()?;
        }
        catalog.set_rules(conflation.unwrap_or_else(ConflationRule::defaults))?;
        Ok(catalog)
    }

    /// The catalog of the built-in types with the default conflation.
    #[must_use]
    pub fn builtin() -> Self {
        Self::new(Vec::new(), None).expect("the built-in types are in order")
    }

    /// How many types there are.
    #[expect(clippy::len_without_is_empty, reason = "a catalog always has the built-in types")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// The name of a type of this catalog, `category.name`.
    #[must_use]
    pub fn name(&self, id: TypeId) -> &str {
        &self.get(id).name
    }

    /// The type of that name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<TypeId> {
        let index = self.by_name.binary_search_by(|id| self.name(*id).cmp(name)).ok()?;
        Some(self.by_name[index])
    }

    /// The priority of an event of that type which does not choose its own.
    #[must_use]
    pub fn priority(&self, id: TypeId) -> Priority {
        self.get(id).priority
    }

    /// All types in order: the built-in ones, then the application's.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &str, Priority)> {
        self.known().map(|(id, known)| (id, &*known.name, known.priority))
    }

    pub(super) fn get(&self, id: TypeId) -> &Known {
        &self.types[id.index()]
    }

    pub(super) fn known(&self) -> impl Iterator<Item = (TypeId, &Known)> {
        (0u16..).map(TypeId).zip(&self.types)
    }

    fn without_rules() -> Self {
        Self::indexed(TYPES.iter().map(|spec| Known::built_in(spec)).collect())
            .expect("built-in names are distinct")
    }

    fn indexed(types: Vec<Known>) -> Result<Self, CatalogError> {
        let mut by_name: Vec<TypeId> = (0u16..).map(TypeId).take(types.len()).collect();
        by_name.sort_by_key(|id| &types[id.index()].name);
        for pair in by_name.windows(2) {
            let name = &types[pair[0].index()].name;
            if *name == types[pair[1].index()].name {
                return Err(CatalogError::Duplicate(name.to_string()));
            }
        }
        Ok(Self { types: types.into(), by_name: by_name.into() })
    }

    /// What GET /v1/schema serves must be a schema, too, and mean what the schemas mean alone.
    fn check_document(&self) -> Result<(), CatalogError> {
        let mut ids: Vec<String> = self.types.iter().filter_map(schema_id).collect();
        ids.push(DOCUMENT_ID.to_owned());
        ids.sort();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CatalogError::SchemaId(pair[0].clone()));
        }
        let built = custom::options().build(&self.schema());
        built.map(drop).map_err(|error| CatalogError::Document(cut(&error.to_string(), 300)))
    }

    fn set_rules(&mut self, rules: Vec<ConflationRule>) -> Result<(), CatalogError> {
        for ConflationRule { event_type, keys } in rules {
            let Some(id) = self.id(&event_type) else { return Err(CatalogError::RuleType(event_type)) };
            if KEYS_MAX < keys.len() || !keys.iter().all(|key| is_data_path(key)) {
                return Err(CatalogError::RuleKeys(event_type));
            }
            let keys = keys.into_iter().map(Into::into).collect();
            if self.types[id.index()].conflation.replace(keys).is_some() {
                return Err(CatalogError::RuleTwice(event_type));
            }
        }
        Ok(())
    }
}

impl Known {
    fn built_in(spec: &'static TypeSpec) -> Self {
        Self {
            name: spec.name.into(),
            priority: spec.priority,
            shape: DataShape::BuiltIn(spec),
            conflation: None,
        }
    }

    fn custom(custom: CustomType) -> Result<Self, CatalogError> {
        if !is_type_name(&custom.name) {
            return Err(CatalogError::Name(cut(&custom.name, 64)));
        }
        Ok(Self {
            shape: DataShape::Custom(Box::new(CustomShape::new(&custom.name, custom.schema)?)),
            name: custom.name.into(),
            priority: custom.priority,
            conflation: None,
        })
    }
}
