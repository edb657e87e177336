//! What the benches of the core share: events, subscriptions, and a hub in memory.

pub mod definitions;
pub mod server;

use tidings_core::event::{Fields, FieldsBuilder, Scalar};

/// The fields of a `content.updated` of document `document`, with what such an event usually carries.
#[must_use]
pub fn content_updated(document: u32) -> Fields {
    let mut fields = FieldsBuilder::default();
    let mut push = |path, text: &str, in_array| fields.push(path, Scalar::String(text.into()), in_array);
    push("@source", "/cms", false);
    push("@subject", &format!("content/c{document}"), false);
    push("contentId", &format!("c{document}"), false);
    push("title", "How the quick brown fox came over the lazy dog", false);
    push("type", "blog", false);
    push("status", "published", false);
    push("authorId", &format!("u{}", document % 1000), false);
    push("updatedAt", "2026-01-31T08:09:10.123Z", false);
    push("tenantId", "t1", false);
    ["news", "home", "animals"].iter().for_each(|tag| push("tags", tag, true));
    fields.build()
}
