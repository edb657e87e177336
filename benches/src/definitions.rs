//! Indexes of many different subscriptions, of which every event matches three.

use serde_json::{Value, json};
use tidings_core::Offset;
use tidings_core::event::{Fields, Filter, Pattern, Patterns};
use tidings_core::map::Keyed;
use tidings_core::subscription::{Index, Member, Permit};

/// One tenant's grant, or that of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant(pub Option<Filter>);

impl Permit for Tenant {
    fn permits(&self, _: &str, fields: &Fields) -> bool {
        self.0.as_ref().is_none_or(|forced| forced.matches_forced(fields))
    }

    fn required(&self) -> Option<&Filter> {
        self.0.as_ref()
    }
}

/// A subscription: its pattern, and its filter for a document.
pub type Shape = (&'static str, fn(u32) -> Value);

/// One key each: three definitions a document, by their patterns.
pub const ONE_KEY: [Shape; 3] = [
    ("content.updated", |document| json!({ "contentId": format!("c{document}") })),
    ("content.*", |document| json!({ "contentId": format!("c{document}") })),
    ("*", |document| json!({ "contentId": format!("c{document}") })),
];

/// One pattern, and further keys to verify: three definitions a document in one bucket.
pub const MORE_KEYS: [Shape; 3] = [
    ("content.*", |document| json!({ "contentId": format!("c{document}") })),
    ("content.*", |document| json!({ "contentId": format!("c{document}"), "status": "published" })),
    ("content.*", |document| json!({ "contentId": format!("c{document}"), "type": ["blog", "page"] })),
];

/// An index of three subscriptions for each document.
#[must_use]
pub fn index(documents: u32, shapes: &[Shape; 3], permit: &Tenant) -> Index<Tenant> {
    let mut index = Index::new(Keyed::new([1, 2]));
    for (shape, (pattern, filter)) in (0..).zip(shapes) {
        let patterns = Patterns::new(vec![Pattern::parse(pattern).expect("a pattern")]);
        for document in 0..documents {
            let filter = Filter::from_json(&filter(document), 16).expect("a filter");
            let member = Member { slot: document * 3 + shape, tag: 0, from: Offset::ZERO };
            index.join(&patterns, &filter, permit, member);
        }
    }
    index
}
