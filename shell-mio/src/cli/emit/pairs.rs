//! `key=value` on the command line, as JSON: nested keys, and values of the type that the event's schema asks
//! for.

use serde_json::{Map, Value};
use tidings_core::event::Catalog;
use tidings_core::time::UnixTime;

/// Adds `pair` to `data`.
///
/// `a.b=1` nests. The value is JSON where it can be read as such and the schema of `type_name` does not ask
/// for a text, else a text. `a:=1` is always JSON; `a:=now` is the time `now`.
pub(super) fn add(
    data: &mut Map<String, Value>,
    pair: &str,
    type_name: &str,
    now: UnixTime,
) -> Result<(), String> {
    let (key, text) =
        pair.split_once('=').ok_or_else(|| format!("`{pair}`: expected key=value or key:=JSON"))?;
    let (key, value) = match key.strip_suffix(':') {
        Some(key) if text == "now" => (key, Value::String(now.to_rfc3339())),
        Some(key) => {
            let value = serde_json::from_str(text);
            (key, value.map_err(|error| format!("`{pair}`: not JSON: {error}"))?)
        }
        None => (key, guess(type_name, key, text)),
    };
    insert(data, key, value).map_err(|why| format!("`{pair}`: {why}"))
}

fn insert(data: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
    let (parents, last) = match key.rsplit_once('.') {
        Some((parents, last)) => (parents.split('.').collect(), last),
        None => (Vec::new(), key),
    };
    let mut table = data;
    for parent in parents {
        if parent.is_empty() {
            return Err("a key is empty".to_owned());
        }
        let inner = table.entry(parent).or_insert_with(|| Value::Object(Map::new()));
        table = inner.as_object_mut().ok_or_else(|| format!("`{parent}` is no object"))?;
    }
    if last.is_empty() {
        return Err("a key is empty".to_owned());
    }
    if table.insert(last.to_owned(), value).is_some() {
        return Err(format!("`{key}` is given twice"));
    }
    Ok(())
}

/// JSON where the text is JSON, unless the type wants a text there and not what the JSON is.
fn guess(type_name: &str, key: &str, text: &str) -> Value {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Value::String(text.to_owned()) };
    let wanted = wanted_types(type_name, key);
    let is = match &value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wants = |name: &str| wanted.iter().any(|wanted| wanted == name);
    if wants("string") && !wants(is) { Value::String(text.to_owned()) } else { value }
}

/// The JSON types that a built-in type allows at a key; none where it does not say.
fn wanted_types(type_name: &str, key: &str) -> Vec<String> {
    let schema = Catalog::builtin().schema();
    let field = &schema["$defs"][type_name]["properties"][key];
    match &field["type"] {
        Value::String(only) => vec![only.clone()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ if field["enum"].is_array() => vec!["string".to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(type_name: &str, pairs: &[&str]) -> Result<Value, String> {
        let mut data = Map::new();
        for pair in pairs {
            add(&mut data, pair, type_name, UnixTime::from_secs(0))?;
        }
        Ok(Value::Object(data))
    }

    #[test]
    fn keys_nest_and_values_are_json_where_they_can_be() {
        assert_eq!(
            data(
                "shop.sold",
                &["a.b.c=1", "a.b.d=x y", "a.e=true", "f=[1,2]", "g={\"h\":null}", "i=", "j=a=b"]
            ),
            Ok(json!({"a":{"b":{"c":1,"d":"x y"},"e":true},"f":[1,2],"g":{"h":null},"i":"","j":"a=b"}))
        );
    }

    #[test]
    fn a_field_that_is_a_text_stays_one() {
        let pairs = ["contentId=42", "title=true", "changes={\"a\":1}", "other=42"];
        assert_eq!(
            data("content.updated", &pairs),
            Ok(json!({"contentId":"42","title":"true","changes":{"a":1},"other":42}))
        );
        assert_eq!(data("analytics.traffic_update", &["pageViews=7"]), Ok(json!({"pageViews":7})));
    }

    #[test]
    fn a_colon_makes_it_json_and_knows_the_time() {
        assert_eq!(
            data("content.updated", &["contentId:=42", "updatedAt:=now"]),
            Ok(json!({"contentId":42,"updatedAt":"1970-01-01T00:00:00.000Z"}))
        );
        assert!(data("x.y", &["a:=soon"]).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (pairs, why) in [
            (&["a"][..], "expected key=value"),
            (&["=1"], "a key is empty"),
            (&["a..b=1"], "a key is empty"),
            (&["a=1", "a=2"], "given twice"),
            (&["a=1", "a.b=2"], "is no object"),
        ] {
            assert!(data("x.y", pairs).unwrap_err().contains(why), "{pairs:?}");
        }
    }
}
