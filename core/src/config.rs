//! Every knob of the server with its default, unit and allowed range. What a peer can make the core hold or
//! do is bounded by a value that stands here.

mod auth;
mod keys;
mod macros;
mod origin;
mod values;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use auth::{ApiKeyConfig, Audience, AuthConfig, CookieName, GrantConfig};
pub(crate) use auth::{read_filter, read_patterns};
pub use keys::{Bounds, ConfigFault, Key, Unit, concat, count, nearest};
pub use origin::{Origin, SentOrigin};
pub use values::{AddressRange, FormError, Kind, Secret, Setting};

use crate::event::{Catalog, CatalogError, ConflationRule, CustomType, Priority, is_data_path, is_type_name};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const MIB_U64: u64 = 1024 * 1024;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

crate::settings! {
    /// All settings of the core. An embedder changes what it needs and calls [`Config::validate`]:
    ///
    /// ```
    /// use tidings_core::config::Config;
    ///
    /// let mut config = Config::default();
    /// config.limits.message_bytes = 0;
    /// let faults = config.validate().unwrap_err();
    /// assert_eq!(faults[0].key, "limits.message_bytes");
    /// ```
    pub struct Config in "" [
        /// Keys, tokens and grants.
        auth: AuthConfig,
        /// What one message, connection, user or address may use.
        limits: Limits,
        /// Requests over HTTP.
        http: Http,
        /// How much of the log stays replayable.
        history: History,
        /// How long a repeated event is recognised.
        dedup: Dedup,
        /// How lanes share a connection.
        lanes: Lanes,
        /// Signs of life.
        heartbeat: Heartbeat,
        /// Leaving without a stampede.
        drain: Drain,
        /// Event types and conflation.
        events: Events,
        /// The live page.
        page: Page,
    ] {
        /// Origins whose pages may connect; `https://*.example.com` admits every host below `example.com`, `*` any
        /// origin. None: the server's own host only.
        origins: Vec<Origin> = Vec::new();
        /// Proxies whose `X-Forwarded-For` counts: addresses or ranges.
        trusted_proxies: Vec<AddressRange> = Vec::new();
    }
}

crate::settings! {
    /// What one message, connection, user or address may use.
    pub struct Limits in "limits." {
        /// A message of a client.
        message_bytes: usize = 128 * KIB, Bytes 1_024..=64 * MIB_U64;
        /// An event.
        event_bytes: usize = 64 * KIB, Bytes 256..=32 * MIB_U64;
        /// Subscriptions of a connection.
        subscriptions: usize = 128, Count 1..=10_000;
        /// Subscriptions of a connection, serialised; a resume of all of them must fit in a message.
        subscriptions_bytes: usize = 48 * KIB, Bytes 256..=32 * MIB_U64;
        /// Patterns of a subscription.
        patterns: usize = 64, Count 1..=1_024;
        /// Keys of a subscription's filter.
        filter_keys: usize = 16, Count 1..=256;
        /// Messages of a connection, in the long run.
        messages_per_s: u32 = 100, PerSecond 1..=1_000_000;
        /// Messages of a connection at once.
        messages_burst: u32 = 200, Count 1..=1_000_000;
        /// Malformed messages within a minute at which a connection is closed with 4400.
        faults_per_minute: u32 = 10, Count 1..=10_000;
        /// Errors `rate_limited` within 10 s at which a connection is closed with 4429.
        rate_faults_per_10s: u32 = 10, Count 1..=10_000;
        /// Connections of the server.
        connections: usize = 100_000, Count 1..=10_000_000;
        /// Connections of a user; over it the longest silent one is closed with 4429.
        connections_per_user: usize = 64, Count 1..=1_000_000;
        /// Connections of an address (IPv6: a /64) that have not yet authenticated.
        unauthenticated_per_address: usize = 256, Count 1..=1_000_000;
        /// From the first byte to the end of the upgrade.
        handshake_ms: u64 = 10_000, Milliseconds 100..=600_000;
        /// Fragments of a message.
        fragments: usize = 128, Count 1..=1_000_000;
        /// From a message's first fragment to its last.
        fragment_ms: u64 = 10_000, Milliseconds 100..=600_000;
        /// Live events queued in a lane of a connection; past it the lane is refilled from history.
        lane_queue: usize = 256, Count 1..=65_536;
        /// Bytes of a connection that are chosen but not yet taken by the kernel.
        unsent_bytes: usize = 256 * KIB, Bytes 1_024..=64 * MIB_U64;
        /// How much history one poll of a connection that catches up looks at: entries, each times the connection's
        /// subscriptions.
        catch_up_step: u32 = 1_024, Count 16..=1_000_000;
        /// Entries of history that one step of a search (`recent`, a page) looks at; a turn does eight steps.
        search_step: usize = 1_000, Count 16..=1_000_000;
        /// Events in a reply to `recent`.
        recent: usize = 200, Count 0..=10_000;
        /// Bytes of events in a reply to `recent`.
        recent_bytes: usize = 256 * KIB, Bytes 256..=64 * MIB_U64;
    }
}

crate::settings! {
    /// Requests over HTTP.
    pub struct Http in "http." {
        /// The header block of a request.
        head_bytes: usize = 16 * KIB, Bytes 1_024..=MIB_U64;
        /// Header fields of a request.
        head_fields: usize = 64, Count 8..=256;
        /// From a request's first byte to the end of its header block.
        head_ms: u64 = 10_000, Milliseconds 100..=600_000;
        /// The body of a request.
        body_bytes: usize = 8 * MIB, Bytes 1_024..=1_024 * MIB_U64;
        /// From the end of the header block to the end of the body.
        body_ms: u64 = 30_000, Milliseconds 100..=3_600_000;
        /// Between requests of a kept-alive connection.
        idle_ms: u64 = 60_000, Milliseconds 100..=3_600_000;
        /// For the peer to take a response, streams apart.
        response_ms: u64 = 30_000, Milliseconds 100..=3_600_000;
        /// Events in one publish request.
        batch: usize = 1_000, Count 1..=100_000;
        /// Events in a page of history where the request names no limit.
        page: usize = 100, Count 1..=10_000;
        /// Events in a page of history at most.
        page_max: usize = 1_000, Count 1..=10_000;
    }
}

crate::settings! {
    /// How much of the log stays replayable; in each lane the first bound that is met counts.
    pub struct History in "history." {
        /// Events of a lane.
        events: usize = 100_000, Count 1..=100_000_000;
        /// Bytes of a lane.
        bytes: usize = 128 * MIB, Bytes 1_024..=1_048_576 * MIB_U64;
        /// Age of a lane's oldest event.
        age_ms: u64 = 3_600_000, Milliseconds 1_000..=366 * DAY_MS;
    }
}

crate::settings! {
    /// How long a repeated event is recognised.
    pub struct Dedup in "dedup." {
        /// How long an event's publisher, source and id are remembered.
        window_ms: u64 = 300_000, Milliseconds 0..=DAY_MS;
        /// How many are remembered at most; past it the oldest are forgotten early.
        entries: usize = 500_000, Count 1..=100_000_000;
    }
}

crate::settings! {
    /// How lanes share a connection; `critical` goes before all of them.
    pub struct Lanes in "lanes." {
        /// Weight of lane `high`.
        high: u32 = 8, None 1..=1_000;
        /// Weight of lane `normal`.
        normal: u32 = 4, None 1..=1_000;
        /// Weight of lane `low`.
        low: u32 = 1, None 1..=1_000;
    }
}

crate::settings! {
    /// Signs of life.
    pub struct Heartbeat in "heartbeat." {
        /// Between two heartbeats of a connection.
        interval_ms: u64 = 30_000, Milliseconds 100..=3_600_000;
        /// Silence after which a connection is closed with 4408; at least `heartbeat.interval_ms` and 500 ms for the
        /// round trip of a Ping.
        timeout_ms: u64 = 60_000, Milliseconds 600..=7_200_000;
    }
}

impl Heartbeat {
    /// What the answer to a Ping may take at least: a healthy client is silent for an interval and this.
    const ROUND_TRIP_MS: u64 = 500;
}

crate::settings! {
    /// Leaving without a stampede.
    pub struct Drain in "drain." {
        /// Over which time clients are told to reconnect.
        spread_ms: u64 = 5_000, Milliseconds 0..=600_000;
        /// After which connections that are left are closed with 1012.
        deadline_ms: u64 = 15_000, Milliseconds 0..=3_600_000;
    }
}

crate::settings! {
    /// The live page.
    pub struct Page in "page." {
        /// Whether `GET /` without an upgrade shows the live page.
        enabled: bool = false;
    }
}

crate::settings! {
    /// Event types and conflation.
    pub struct Events in "events." {
        /// The `source` of events whose publisher names none.
        source: String = "/tidings".to_owned(), Bytes 1..=256;
        /// Types of the application's own: tables with `name`, `priority` and `schema`.
        types: Vec<EventTypeConfig> = Vec::new();
        /// Types that a lagging consumer gets only the newest of, by `source` and `keys`.
        conflate: Vec<ConflateConfig> = ConflateConfig::defaults();
    }
}

/// An event type of the application's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTypeConfig {
    /// `category.name`.
    pub name: String,
    /// The priority of its events where the publisher gives none.
    #[serde(default = "normal")]
    pub priority: Priority,
    /// JSON Schema of its `data`.
    pub schema: Value,
}

const fn normal() -> Priority {
    Priority::Normal
}

impl Setting for EventTypeConfig {
    const KIND: Kind = Kind::Structured;

    fn check(&self, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        check_type(&self.name, &format!("{path}.name"), faults);
        if !(self.schema.is_object() || self.schema.is_boolean()) {
            let allowed = "a JSON Schema: an object";
            faults.push(ConfigFault::new(&format!("{path}.schema"), &self.schema, allowed));
        }
    }
}

/// A type that may be reduced to the newest event per `source` and key while a consumer lags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConflateConfig {
    /// The event type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Dotted paths into `data` that make the key; with none, one event per source is kept.
    pub keys: Vec<String>,
}

impl ConflateConfig {
    fn defaults() -> Vec<Self> {
        let own = |rule: ConflationRule| Self { type_name: rule.event_type, keys: rule.keys };
        ConflationRule::defaults().into_iter().map(own).collect()
    }
}

impl Setting for ConflateConfig {
    const KIND: Kind = Kind::Structured;

    fn check(&self, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        check_type(&self.type_name, &format!("{path}.type"), faults);
        for (index, key) in self.keys.iter().enumerate() {
            if !is_data_path(key) {
                let path = format!("{path}.keys[{index}]");
                faults.push(ConfigFault::new(&path, key, "a dotted path into data"));
            }
        }
    }
}

fn check_type(name: &str, path: &str, faults: &mut Vec<ConfigFault>) {
    if !is_type_name(name) {
        faults.push(ConfigFault::new(path, &name, "an event type as in `category.name`"));
    }
}

impl Config {
    /// The table of all keys.
    #[must_use]
    pub const fn keys() -> &'static [Key] {
        Self::KEYS
    }

    /// Reads settings from a JSON object of sections; what is absent keeps its default.
    ///
    /// # Errors
    /// Every fault: unknown keys with the nearest known one, wrong types, values out of range.
    pub fn from_json(json: &Value) -> Result<Self, Vec<ConfigFault>> {
        let faults = check_tree(Self::KEYS, json);
        if !faults.is_empty() {
            return Err(faults);
        }
        let config =
            Self::deserialize(json).map_err(|error| vec![ConfigFault::new("", &"", error.to_string())])?;
        config.validate().map(|()| config)
    }

    /// Checks every value against its range, and the values against each other.
    ///
    /// # Errors
    /// Every fault, with the key, the value and the allowed range.
    pub fn validate(&self) -> Result<(), Vec<ConfigFault>> {
        self.validated_catalog().map(drop)
    }

    /// Checks as [`Self::validate`] does, and gives the event types, which it has to read for that.
    pub(crate) fn validated_catalog(&self) -> Result<Catalog, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        self.check_ranges(&mut faults);
        self.check_orders(&mut faults);
        self.check_names(&mut faults);
        if faults.is_empty() {
            // The catalog names its first fault only, and takes names and paths as checked above.
            self.catalog().map_err(|fault| vec![fault])
        } else {
            Err(faults)
        }
    }

    /// The event types and conflation rules of these settings.
    ///
    /// # Errors
    /// The first type or rule that cannot stand, as with a schema that is none.
    pub fn catalog(&self) -> Result<Catalog, ConfigFault> {
        let Events { types, conflate, .. } = &self.events;
        let custom = |own: &EventTypeConfig| CustomType {
            name: own.name.clone(),
            priority: own.priority,
            schema: own.schema.clone(),
        };
        let rule = |own: &ConflateConfig| ConflationRule {
            event_type: own.type_name.clone(),
            keys: own.keys.clone(),
        };
        Catalog::new(types.iter().map(custom).collect(), Some(conflate.iter().map(rule).collect()))
            .map_err(|error| self.catalog_fault(&error))
    }

    /// The place of what the catalog refused.
    fn catalog_fault(&self, error: &CatalogError) -> ConfigFault {
        use CatalogError::{
            Document, Duplicate, Name, RemoteReference, RuleKeys, RuleTwice, RuleType, Schema, SchemaId,
            TooMany,
        };
        // Of several of one name the last is the one at fault.
        let (list, index) = match error {
            Name(name) | Duplicate(name) | Schema { name, .. } | RemoteReference { name, .. } => {
                ("events.types", self.events.types.iter().rposition(|own| own.name == *name))
            }
            RuleType(name) | RuleTwice(name) | RuleKeys(name) => {
                ("events.conflate", self.events.conflate.iter().rposition(|own| own.type_name == *name))
            }
            TooMany | Document(_) | SchemaId(_) => ("events.types", None),
        };
        let key = index.map_or_else(|| list.to_owned(), |index| format!("{list}[{index}]"));
        ConfigFault::new(&key, &"", error.to_string())
    }

    /// Values that only make sense next to each other.
    fn check_orders(&self, faults: &mut Vec<ConfigFault>) {
        let Self { limits, http, history, heartbeat, drain, .. } = self;
        // A resume carries every subscription with its id and beginning, and the position before them.
        let resume_bytes = limits.subscriptions_bytes + 1_024;
        let at_least = [
            ("limits.message_bytes", limits.message_bytes, "limits.event_bytes", limits.event_bytes),
            (
                "limits.message_bytes",
                limits.message_bytes,
                "limits.subscriptions_bytes and 1024 bytes for the rest of a resume",
                resume_bytes,
            ),
            ("http.body_bytes", http.body_bytes, "limits.event_bytes", limits.event_bytes),
            ("http.page_max", http.page_max, "http.page", http.page),
            ("history.bytes", history.bytes, "limits.event_bytes", limits.event_bytes),
        ];
        for (key, value, than, least) in at_least {
            if value < least {
                faults.push(ConfigFault::new(key, &value, format!("at least {least}, which is {than}")));
            }
        }
        let answered_ms = heartbeat.interval_ms + Heartbeat::ROUND_TRIP_MS;
        if heartbeat.timeout_ms < answered_ms {
            let allowed = format!("at least {answered_ms}, which is heartbeat.interval_ms and a round trip");
            faults.push(ConfigFault::new("heartbeat.timeout_ms", &heartbeat.timeout_ms, allowed));
        }
        if drain.deadline_ms < drain.spread_ms {
            let allowed = format!("at least {}, which is drain.spread_ms", drain.spread_ms);
            faults.push(ConfigFault::new("drain.deadline_ms", &drain.deadline_ms, allowed));
        }
    }

    /// Names that must be unique, and the pair that would let any page act as its visitor.
    fn check_names(&self, faults: &mut Vec<ConfigFault>) {
        for (index, own) in self.events.types.iter().enumerate() {
            if self.events.types[..index].iter().any(|earlier| earlier.name == own.name) {
                let path = format!("events.types[{index}].name");
                faults.push(ConfigFault::new(&path, &own.name, "a name that no other type has"));
            }
        }
        self.auth.check_names(faults);
        if let (Some(cookie), true) = (&self.auth.cookie, self.origins.iter().any(Origin::is_any)) {
            let allowed = "no cookie while origins has `*`: any page could act as its visitor";
            faults.push(ConfigFault::new("auth.cookie", cookie, allowed));
        }
    }
}

/// Every fault of a tree of settings by the table `keys`: unknown keys and wrong values.
#[must_use]
pub fn check_tree(keys: &[Key], json: &Value) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    for (name, value) in flatten(keys, json) {
        match keys.iter().find(|key| key.name == name) {
            Some(key) => key.check(&value, &mut faults),
            None if is_section(keys, &name) => {
                // What stands there may be the secret that belongs into the table.
                faults.push(ConfigFault::new(&name, &"", "a table of settings"));
            }
            None => faults.push(ConfigFault::unknown(&name, keys.iter().map(|key| key.name))),
        }
    }
    faults
}

fn is_section(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The values of a tree of settings by dotted name: tables are opened down to the keys of the table `keys`.
#[must_use]
pub fn flatten(keys: &[Key], json: &Value) -> Vec<(String, Value)> {
    fn walk(keys: &[Key], prefix: &str, table: &Map<String, Value>, found: &mut Vec<(String, Value)>) {
        for (name, value) in table {
            let name = format!("{prefix}{name}");
            match value {
                Value::Object(inner) if is_section(keys, &name) => {
                    walk(keys, &format!("{name}."), inner, found);
                }
                _ => found.push((name, value.clone())),
            }
        }
    }
    let mut found = Vec::new();
    match json {
        Value::Object(table) => walk(keys, "", table, &mut found),
        other => found.push((String::new(), other.clone())),
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(json: &Value) -> Vec<String> {
        Config::from_json(json).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_valid_and_stand_in_the_table() {
        let config = Config::default();
        config.validate().unwrap();
        assert_eq!(Config::from_json(&json!({})).unwrap(), config);
        let tree = serde_json::to_value(&config).unwrap();
        let flat = flatten(Config::keys(), &tree);
        assert_eq!(flat.len(), Config::keys().len());
        for (name, value) in flat {
            let key = Config::keys().iter().find(|key| key.name == name).unwrap();
            assert_eq!(key.default(), value, "{name}");
            assert!(!key.doc.trim().is_empty() && key.doc.trim().ends_with('.'), "{name}");
        }
    }

    #[test]
    fn every_number_has_a_range_that_holds_its_default() {
        for key in Config::keys().iter().filter(|key| key.kind == Kind::Integer) {
            assert_ne!(key.bounds, Bounds::NONE, "{}", key.name);
            assert!(key.bounds.contain(key.default().as_u64().unwrap()), "{}", key.name);
        }
    }

    #[test]
    fn all_faults_are_listed_with_key_value_and_range() {
        let found = faults(&json!({
            "limits": {"message_bytes": 1, "mesage_bytes": 4096, "patterns": "many"},
            "history": {"age_ms": -1},
            "http": 7,
            "origins": ["https://a.example", "a.example"],
            "trusted_proxies": ["10.0.0.0/99"],
            "auth": {"leeway_s": 3601},
        }));
        for expected in [
            "limits.message_bytes = 1: 1024 to 67108864 bytes",
            "limits.mesage_bytes: no such key; did you mean `limits.message_bytes`?",
            "limits.patterns = \"many\": 1 to 1024",
            "http: a table of settings",
            "history.age_ms = -1: 1000 to 31622400000 ms",
            "origins[1] = \"a.example\": an origin as in `https://admin.example.com`, `https://*.example.com` or `*`",
            "auth.leeway_s = 3601: 0 to 3600 s",
        ] {
            assert!(found.iter().any(|fault| fault == expected), "{expected}\nnot in {found:#?}");
        }
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn values_are_held_against_each_other() {
        let found = faults(&json!({
            "limits": {"message_bytes": 40_000},
            "heartbeat": {"timeout_ms": 1000},
            "drain": {"deadline_ms": 10},
            "http": {"page_max": 5},
            "auth": {"cookie": "session", "api_keys": ["a", "a"]},
            "origins": ["*"],
        }));
        assert_eq!(found.len(), 7, "{found:#?}");
        assert!(
            found[0].starts_with("limits.message_bytes = 40000: at least 65536, which is limits.event_bytes")
        );
    }

    #[test]
    fn a_client_that_answers_each_ping_is_never_closed_for_its_silence() {
        let heartbeat =
            |timeout_ms: u64| json!({"heartbeat": {"interval_ms": 1000, "timeout_ms": timeout_ms}});
        assert!(Config::from_json(&heartbeat(1500)).is_ok());
        for timeout_ms in [1000, 1499] {
            let expected = format!(
                "heartbeat.timeout_ms = {timeout_ms}: at least 1500, which is heartbeat.interval_ms and a round trip"
            );
            assert_eq!(faults(&heartbeat(timeout_ms)), [expected]);
        }
    }

    #[test]
    fn types_and_rules_of_the_application_are_checked_element_by_element() {
        let found = faults(&json!({"events": {
            "types": [{"name": "shop.sold", "schema": {}}, {"name": "shop", "schema": "x"}, {"name": "shop.sold"}],
            "conflate": [{"type": "a.*", "keys": ["a..b", "a", "@source"]}, {"type": "a.b", "keys": []}],
        }}));
        let expected = [
            "events.types[2]",
            "events.conflate[0].type",
            "events.conflate[0].keys[0]",
            "events.conflate[0].keys[2]",
        ];
        for key in expected {
            assert!(found.iter().any(|fault| fault.starts_with(key)), "{key} not in {found:#?}");
        }
    }

    #[test]
    fn what_the_catalog_refuses_is_named_by_its_place() {
        let found = faults(&json!({"events": {"types": [
            {"name": "shop.sold", "schema": {}}, {"name": "shop.lost", "schema": {"type": "nothing"}},
        ]}}));
        assert!(found[0].starts_with("events.types[1]: "), "{found:?}");
        let found = faults(&json!({"events": {"conflate": [{"type": "shop.sold", "keys": []}]}}));
        assert!(found[0].starts_with("events.conflate[0]: "), "{found:?}");
        let found = faults(&json!({"events": {"types": [{"name": "user.login", "schema": {}}]}}));
        assert!(found[0].starts_with("events.types[0]: "), "{found:?}");
    }

    #[test]
    fn unknown_keys_of_a_struct_are_refused_by_serde_too() {
        assert!(serde_json::from_value::<Config>(json!({"limits": {"x": 1}})).is_err());
        assert!(serde_json::from_value::<Config>(json!({"x": 1})).is_err());
    }
}
