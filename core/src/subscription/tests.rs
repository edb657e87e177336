//! The index against its rules: equal to brute force whatever happens, and as cheap as what matches.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Index, Member, Permit, Place};
use crate::event::{Fields, FieldsBuilder, Filter, Pattern, Patterns, Scalar};
use crate::map::Keyed;
use crate::protocol::Offset;

/// A grant in small: with no part it permits all, else what one of its parts lets pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Parts(Vec<Filter>);

impl Permit for Parts {
    fn permits(&self, _: &str, fields: &Fields) -> bool {
        self.0.is_empty() || self.0.iter().any(|part| part.matches_forced(fields))
    }

    fn required(&self) -> Option<&Filter> {
        if let [part] = &self.0[..] { Some(part) } else { None }
    }
}

fn patterns(texts: &[&str]) -> Patterns {
    Patterns::new(texts.iter().map(|text| Pattern::parse(text).unwrap()).collect())
}

fn filter(text: &str) -> Filter {
    Filter::from_json(&serde_json::from_str(text).unwrap(), 16).unwrap()
}

fn scalar(text: &str) -> Scalar {
    Scalar::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}

/// An event's fields from (path, scalars), where more than one scalar makes an array.
fn fields<'a>(at: impl IntoIterator<Item = (&'a str, &'a [&'a str])>) -> Fields {
    let mut builder = FieldsBuilder::default();
    for (path, texts) in at {
        texts.iter().for_each(|text| builder.push(path, scalar(text), 1 < texts.len()));
    }
    builder.build()
}

fn index() -> Index<Parts> {
    Index::new(Keyed::new([3, 4]))
}

fn member(slot: u32) -> Member {
    Member { slot, tag: slot ^ 1, from: Offset::ZERO }
}

/// The slots visited, in the order of visits.
fn visited(index: &mut Index<Parts>, type_name: &str, fields: &Fields) -> Vec<u32> {
    let mut slots = Vec::new();
    index.matching(type_name, fields, |members| slots.extend(members.iter().map(|member| member.slot)));
    slots
}

const TYPES: [&str; 5] = ["a.x", "a.y", "ab.x", "b.x", "b.y"];
const PATTERNS: [&str; 7] = ["*", "a.*", "b.*", "a.x", "a.y", "ab.x", "b.x"];
const PATHS: [&str; 5] = ["k", "k.l", "m", "@subject", "@source"];
const VALUES: [&str; 9] = ["1", "1.0", "2", "0.5", "null", "true", "false", r#""1""#, r#""v""#];

fn any_filter() -> impl Strategy<Value = Filter> {
    let key = (select(&PATHS[..]), vec(select(&VALUES[..]), 1..4));
    vec(key, 0..4).prop_map(|keys| {
        let keys = keys.iter().map(|(path, values)| match &values[..] {
            [one] => format!("{path:?}:{one}"),
            many => format!("{path:?}:[{}]", many.join(",")),
        });
        filter(&format!("{{{}}}", keys.collect::<Vec<_>>().join(",")))
    })
}

fn any_fields() -> impl Strategy<Value = Fields> {
    let at = (select(&PATHS[..]), vec(select(&VALUES[..]), 1..4));
    vec(at, 0..5).prop_map(|at| {
        // A path stands once in an event.
        let at: BTreeMap<&str, Vec<&str>> = at.into_iter().collect();
        fields(at.iter().map(|(path, values)| (*path, &values[..])))
    })
}

#[derive(Clone, Debug)]
enum Step {
    Join(Patterns, Filter, Parts),
    JoinLike(usize),
    Leave(usize),
    Event(&'static str, Fields),
}

fn any_step() -> impl Strategy<Value = Step> {
    let join = (vec(select(&PATTERNS[..]), 0..4), any_filter(), vec(any_filter(), 0..3));
    prop_oneof![
        3 => join.prop_map(|(texts, filter, parts)| Step::Join(patterns(&texts), filter, Parts(parts))),
        1 => any::<usize>().prop_map(Step::JoinLike),
        2 => any::<usize>().prop_map(Step::Leave),
        4 => (select(&TYPES[..]), any_fields()).prop_map(|(name, fields)| Step::Event(name, fields)),
    ]
}

/// The members that must be, with all that the index was told of them.
#[derive(Default)]
struct Model {
    live: Vec<(Member, Place, Patterns, Filter, Parts)>,
    joined: u32,
}

impl Model {
    fn join(&mut self, index: &mut Index<Parts>, patterns: Patterns, filter: Filter, permit: Parts) {
        let member = member(self.joined);
        self.joined += 1;
        let place = index.join(&patterns, &filter, &permit, member);
        self.live.push((member, place, patterns, filter, permit));
    }

    fn leave(&mut self, index: &mut Index<Parts>, number: usize) {
        let (_, place, ..) = self.live.swap_remove(number % self.live.len());
        if let Some(moved) = index.leave(place) {
            let mut live = self.live.iter_mut();
            let entry = live.find(|(member, ..)| (member.slot, member.tag) == (moved.slot, moved.tag));
            entry.expect("what moved is live").1 = moved.place;
        }
    }

    fn must_visit(&self, type_name: &str, fields: &Fields) -> Vec<u32> {
        let matches = self.live.iter().filter(|(_, _, patterns, filter, permit)| {
            patterns.matches(type_name) && filter.matches(fields) && permit.permits(type_name, fields)
        });
        let mut slots: Vec<u32> = matches.map(|(member, ..)| member.slot).collect();
        slots.sort_unstable();
        slots
    }

    fn check_places(&self, index: &mut Index<Parts>) {
        for (member, place, patterns, filter, permit) in &self.live {
            assert_eq!(index.member(*place), *member);
            assert_eq!(index.definition(place.definition()), (patterns, filter, permit));
            index.assert_placed(place.definition());
        }
        assert_eq!(index.members(), self.live.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_index_equals_brute_force(steps in vec(any_step(), 0..120)) {
        let (mut index, mut model) = (index(), Model::default());
        for step in steps {
            match step {
                Step::Join(patterns, filter, permit) => model.join(&mut index, patterns, filter, permit),
                Step::JoinLike(_) | Step::Leave(_) if model.live.is_empty() => {}
                Step::JoinLike(number) => {
                    let (_, _, patterns, filter, permit) = model.live[number % model.live.len()].clone();
                    model.join(&mut index, patterns, filter, permit);
                }
                Step::Leave(number) => model.leave(&mut index, number),
                Step::Event(type_name, fields) => {
                    let must = model.must_visit(type_name, &fields);
                    let mut did = visited(&mut index, type_name, &fields);
                    did.sort_unstable();
                    prop_assert_eq!(&did, &must);
                    for (member, place, ..) in &model.live {
                        let matches = index.definition_matches(place.definition(), type_name, &fields);
                        prop_assert_eq!(matches, must.contains(&member.slot));
                    }
                }
            }
            model.check_places(&mut index);
        }
        while !model.live.is_empty() {
            model.leave(&mut index, 0);
        }
        prop_assert!(index.holds_nothing());
    }

    #[test]
    fn the_order_of_visits_follows_from_the_history_alone(
        steps in vec(any_step(), 0..60), key in any::<[u64; 2]>()
    ) {
        let (mut one, mut other) = (index(), Index::new(Keyed::new(key)));
        let (mut model, mut mirror) = (Model::default(), Model::default());
        for step in steps {
            match step {
                Step::Join(patterns, filter, permit) => {
                    model.join(&mut one, patterns.clone(), filter.clone(), permit.clone());
                    mirror.join(&mut other, patterns, filter, permit);
                }
                Step::Leave(number) if !model.live.is_empty() => {
                    model.leave(&mut one, number);
                    mirror.leave(&mut other, number);
                }
                Step::Event(name, fields) => {
                    prop_assert_eq!(visited(&mut one, name, &fields), visited(&mut other, name, &fields));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn equal_subscriptions_are_checked_once() {
    // Given a thousand equal subscriptions with a filter that its place does not prove,
    let mut index = index();
    for slot in 0..1000 {
        index.join(&patterns(&["a.*"]), &filter(r#"{"k":1,"m":"v"}"#), &Parts::default(), member(slot));
    }
    assert_eq!((index.definitions(), index.members()), (1, 1000));
    // when an event matches them, then all are visited and one definition was looked at.
    let event = fields([("k", &["1.0"][..]), ("m", &[r#""v""#])]);
    assert_eq!(visited(&mut index, "a.x", &event).len(), 1000);
    assert_eq!(index.work(), 1);
}

/// Whether two contents are told apart by nothing that the index keeps of their hashes.
fn collide<T: Hash + PartialEq>(keyed: Keyed, [one, other]: [T; 2]) -> bool {
    one != other && keyed.hash_one(&one) >> 32 == keyed.hash_one(&other) >> 32
}

#[test]
fn filters_whose_hashes_collide_are_different_subscriptions() {
    // Given a key under which two filters have the same half of a hash,
    let keyed = Keyed::new([103, 0]);
    let filters = [416, 5199].map(|value| filter(&format!(r#"{{"k":{value}}}"#)));
    assert!(collide(keyed, filters.each_ref().map(|filter| (0_u32, filter))), "another pair is needed");
    // when both are subscribed to, then each gets its own events.
    let mut index = Index::new(keyed);
    for (slot, filter) in (0..).zip(&filters) {
        index.join(&patterns(&["*"]), filter, &Parts::default(), member(slot));
    }
    assert_eq!(index.definitions(), 2);
    assert_eq!(visited(&mut index, "a.x", &fields([("k", &["5199"][..])])), [1]);
}

#[test]
fn grants_whose_hashes_collide_permit_each_its_own() {
    /// Permits what has its number.
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Number(u32);

    impl Permit for Number {
        fn permits(&self, _: &str, fields: &Fields) -> bool {
            filter(&format!(r#"{{"k":{}}}"#, self.0)).matches_forced(fields)
        }

        fn required(&self) -> Option<&Filter> {
            None
        }
    }

    // Given a key under which two grants have the same half of a hash,
    let (keyed, permits) = (Keyed::new([237, 0]), [Number(2186), Number(2235)]);
    assert!(collide(keyed, permits.each_ref().map(|permit| (0_u32, permit))), "another pair is needed");
    // when both subscribe to everything, then neither gets what only the other may see.
    let mut index = Index::new(keyed);
    for (slot, permit) in (0..).zip(&permits) {
        index.join(&patterns(&["*"]), &Filter::default(), permit, member(slot));
    }
    let mut slots = Vec::new();
    let event = fields([("k", &["2235"][..])]);
    index.matching("a.x", &event, |members| slots.extend(members.iter().map(|member| member.slot)));
    assert_eq!(slots, [1]);
}

/// Joins subscriptions that all speak of the tenant `t` and one document of `documents` each, three a document.
fn crowd(index: &mut Index<Parts>, documents: u32) -> Vec<Place> {
    let permit = Parts(vec![filter(r#"{"aTenant":"t"}"#)]);
    let mut places = Vec::new();
    for document in 0..documents {
        for (slot, rest) in ["", r#","status":"draft""#, r#","aTenant":"t""#].iter().enumerate() {
            let filter = filter(&format!(r#"{{"doc":"d{document}"{rest}}}"#));
            let slot = document * 3 + u32::try_from(slot).unwrap();
            places.push(index.join(&patterns(&["a.*", "b.x"]), &filter, &permit, member(slot)));
        }
    }
    places
}

#[test]
fn an_event_that_matches_three_of_a_hundred_thousand_looks_at_few() {
    let mut index = index();
    crowd(&mut index, 33_334);
    assert_eq!(index.definitions(), 100_002);
    for document in [0, 1, 17_000, 33_333] {
        let before = index.work();
        let id = format!("\"d{document}\"");
        let at = [("aTenant", &[r#""t""#][..]), ("doc", &[&*id]), ("status", &[r#""draft""#])];
        let mut slots = visited(&mut index, "a.x", &fields(at));
        slots.sort_unstable();
        assert_eq!(slots, [document * 3, document * 3 + 1, document * 3 + 2]);
        assert!(index.work() - before <= 16, "{} definitions looked at", index.work() - before);
    }
}

#[test]
fn a_subscription_without_a_filter_is_selected_by_what_its_permit_requires() {
    // Given a subscription to everything for each of a thousand tenants,
    let mut index = index();
    for tenant in 0..1000 {
        let permit = Parts(vec![filter(&format!(r#"{{"tenant":{tenant}}}"#))]);
        index.join(&patterns(&["*"]), &Filter::default(), &permit, member(tenant));
    }
    // when an event of one comes, then one definition is looked at.
    let event = fields([("tenant", &["7"][..])]);
    assert_eq!(visited(&mut index, "a.x", &event), [7]);
    assert_eq!(index.work(), 1);
}

#[test]
fn an_event_of_another_type_looks_at_nothing() {
    let mut index = index();
    for (slot, text) in (0..).zip(["a.x", "a.y", "b.*"]) {
        index.join(&patterns(&[text, "ab.x"]), &filter(r#"{"k":1}"#), &Parts::default(), member(slot));
    }
    assert_eq!(visited(&mut index, "a.x", &fields([("k", &["1"][..])])), [0]);
    assert_eq!(index.work(), 1);
}

#[test]
fn an_array_that_repeats_a_value_looks_once() {
    // Given two definitions under one value, and one of them under another as well,
    let mut index = index();
    index.join(&patterns(&["*"]), &filter(r#"{"k":[1,2]}"#), &Parts::default(), member(0));
    index.join(&patterns(&["*"]), &filter(r#"{"k":1}"#), &Parts::default(), member(1));
    // when an event has the first value three times, then three places are looked at, not seven.
    let event = fields([("k", &["1", "2", "1.0", "1"][..])]);
    assert_eq!(visited(&mut index, "a.x", &event), [0, 1]);
    assert_eq!(index.work(), 3);
}

#[test]
fn many_patterns_times_many_alternatives_match_by_type() {
    // Given a subscription of 64 types with 256 alternatives, and one that differs in a value,
    let mut index = index();
    let texts: Vec<String> = (0..64).map(|number| format!("c.t{number}")).collect();
    let texts = patterns(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let one: Vec<String> = (0..256).map(|number| number.to_string()).collect();
    let other: Vec<String> = (1..257).map(|number| number.to_string()).collect();
    let places = [one, other].map(|values| {
        let filter = filter(&format!(r#"{{"k":[{}]}}"#, values.join(",")));
        index.join(&texts, &filter, &Parts::default(), member(0))
    });
    // then they match by type all the same.
    let event = fields([("k", &["5"][..])]);
    assert_eq!(visited(&mut index, "c.t7", &event).len(), 2);
    assert_eq!(visited(&mut index, "c.t64", &event).len(), 0);
    // And they leave nothing behind.
    for place in places {
        assert_eq!(index.leave(place), None);
    }
    assert!(index.holds_nothing());
}

#[test]
fn an_event_that_matches_more_than_a_batch_meets_each_once() {
    // Given 500 definitions for one value each, and 500 more in one bucket,
    let mut index = index();
    for slot in 0..500 {
        let one = filter(&format!(r#"{{"k":{slot}}}"#));
        index.join(&patterns(&["*"]), &one, &Parts::default(), member(slot));
        let parts = [format!(r#"{{"u":{slot}}}"#), r#"{"w":0}"#.to_owned()].map(|part| filter(&part));
        index.join(&patterns(&["a.*"]), &filter(r#"{"k":1}"#), &Parts(parts.into()), member(500 + slot));
    }
    // when an event has all the values, some twice,
    let values: Vec<String> = (0..500).chain(0..50).map(|number| number.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut slots = visited(&mut index, "a.x", &fields([("k", &values[..]), ("w", &["0"])]));
    // then each is visited once.
    slots.sort_unstable();
    assert!(slots.into_iter().eq(0..1000));
}

#[test]
fn leaving_a_crowded_bucket_scans_nothing() {
    // Given 50,000 definitions in one bucket: their grants differ, their only equality does not,
    let mut index = index();
    let places: Vec<Place> = (0..50_000)
        .map(|slot| {
            let parts = [format!(r#"{{"u":{slot}}}"#), r#"{"w":0}"#.to_owned()].map(|part| filter(&part));
            index.join(&patterns(&["*"]), &filter(r#"{"k":1}"#), &Parts(parts.into()), member(slot))
        })
        .collect();
    // when they leave oldest first, for which scans would take a billion steps,
    for place in places {
        assert_eq!(index.leave(place), None, "none shares its definition");
    }
    // then nothing is left.
    assert!(index.holds_nothing());
}
