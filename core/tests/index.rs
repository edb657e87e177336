//! What subscriptions cost: the memory that the allocator gave for them.

#![allow(clippy::unwrap_used, reason = "all of it is a test; helpers are not marked as such")]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidings_core::Offset;
use tidings_core::event::{Fields, Filter, Pattern, Patterns};
use tidings_core::map::Keyed;
use tidings_core::subscription::{Index, Member, Permit};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Permits everything and requires nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
struct All;

impl Permit for All {
    fn permits(&self, _: &str, _: &Fields) -> bool {
        true
    }

    fn required(&self) -> Option<&Filter> {
        None
    }
}

/// The bytes that what `make` makes holds.
fn held<T>(make: impl FnOnce() -> T) -> (isize, T) {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    let signed = |bytes: usize| isize::try_from(bytes).unwrap();
    (signed(change.bytes_allocated) - signed(change.bytes_deallocated), made)
}

fn patterns(texts: &[&str]) -> Patterns {
    Patterns::new(texts.iter().map(|text| Pattern::parse(text).unwrap()).collect())
}

fn filter(text: &str) -> Filter {
    Filter::from_json(&serde_json::from_str(text).unwrap(), 16).unwrap()
}

fn member(slot: u32) -> Member {
    Member { slot, tag: 0, from: Offset::ZERO }
}

fn index() -> Index<All> {
    Index::new(Keyed::new([3, 4]))
}

/// One test, since the allocator counts for all threads.
#[test]
fn what_subscriptions_cost() {
    a_filtered_subscription_costs_two_hundred_bytes_beyond_its_filter();
    a_further_equal_subscription_costs_no_more_than_a_half_empty_vector();
    many_patterns_times_many_alternatives_take_bounded_memory();
    to_match_an_event_allocates_nothing_whatever_it_finds();
}

fn a_filtered_subscription_costs_two_hundred_bytes_beyond_its_filter() {
    let texts = patterns(&["content.updated"]);
    // Given a hundred thousand filters,
    let numbered = |slot| filter(&format!(r#"{{"contentId":"c{slot}"}}"#));
    let (filters, _) = held(|| (0..100_000).map(numbered).collect::<Box<[_]>>());
    // when each is subscribed to,
    let (all, _) = held(|| {
        let mut index = index();
        for slot in 0..100_000 {
            index.join(&texts, &numbered(slot), &All, member(slot));
        }
        index
    });
    // then the index takes so much for each beside it.
    let each = (all - filters) / 100_000;
    assert!(each <= 200, "{each} bytes");
}

fn a_further_equal_subscription_costs_no_more_than_a_half_empty_vector() {
    let (texts, filter) = (patterns(&["*"]), filter(r#"{"k":1}"#));
    let mut index = index();
    index.join(&texts, &filter, &All, member(0));
    let (further, ()) = held(|| {
        for slot in 1..100_000 {
            index.join(&texts, &filter, &All, member(slot));
        }
    });
    assert!(further / 99_999 <= 32, "{} bytes", further / 99_999);
}

fn many_patterns_times_many_alternatives_take_bounded_memory() {
    // Given a subscription of 64 types with 256 alternatives, and one that differs in a value,
    let texts: Vec<String> = (0..64).map(|number| format!("c.t{number}")).collect();
    let texts = patterns(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let of = |range: std::ops::Range<u32>| {
        let values: Vec<String> = range.map(|number| number.to_string()).collect();
        filter(&format!(r#"{{"k":[{}]}}"#, values.join(",")))
    };
    // then they cost their alternatives, not the product.
    let (bytes, _) = held(|| {
        let mut index = index();
        index.join(&texts, &of(0..256), &All, member(0));
        index.join(&texts, &of(1..257), &All, member(1));
        index
    });
    assert!(bytes < 128 * 1024, "{bytes} bytes");
}

fn to_match_an_event_allocates_nothing_whatever_it_finds() {
    // Given for each of some values one definition alone, or one on each level, or some in one bucket,
    let mut index = index();
    let mut slot = 0;
    let mut join = |texts: &[&str], text: &str| {
        slot += 1;
        index.join(&patterns(texts), &filter(text), &All, member(slot));
    };
    let mut joined = Vec::new();
    for value in 0..200 {
        let crowd = if value % 4 == 0 { value / 4 } else { 0 };
        let one = format!(r#"{{"k":{value}}}"#);
        let levels = match value {
            0..100 => &["a.*"][..],
            _ if crowd == 0 => &["*", "a.*", "a.x"],
            _ => &["*", "a.x"],
        };
        levels.iter().for_each(|level| join(&[level], &one));
        for other in 0..crowd {
            join(&["a.*"], &format!(r#"{{"k":{value},"crowd":[0,{other}]}}"#));
        }
        join(&["a.x", "b.*"], &format!(r#"{{"l":[{value},-1]}}"#));
        joined.push(levels.len() + crowd + 1);
    }
    // when events with fewer and fewer of the values are matched,
    let event = |first: usize| {
        let list: Vec<String> = (first..200).map(|value| value.to_string()).collect();
        let list = list.join(",");
        Fields::from_event(&format!(r#"{{"data":{{"k":[{list}],"l":[{list}],"crowd":0}}}}"#)).unwrap()
    };
    let events: Vec<Fields> = (0..200).map(event).collect();
    let mut found = Vec::with_capacity(events.len());
    let region = Region::new(ALLOCATOR);
    for fields in &events {
        let mut members = 0;
        index.matching("a.x", fields, |some| members += some.len());
        found.push(members);
    }
    // then all that match are found, and nothing is allocated for it.
    let change = region.change();
    assert_eq!(change.allocations + change.reallocations, 0);
    assert!((0..200).map(|first| joined[first..].iter().sum::<usize>()).eq(found));
}
