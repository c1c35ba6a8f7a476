//! OVSDB's notation for column values (RFC 7047, section 5.1), read into the types of the `ovsdb` crate where that is
//! safe. What has another shape reads as absent.
//!
//! [`Set`] and [`Uuid`] panic on a tag without content (`["set"]`, `["uuid"]`, `[]`), so they are given only what
//! [`tagged`] let through, and a set's atoms stay plain JSON until each is looked at in turn. Not used: `UuidSet`, which
//! panics on such an atom inside; `Map`, which loses all pairs for one that is malformed; `Optional`, as `monitor_cond`
//! leaves default values out.

use ovsdb::protocol::{Set, Uuid};
use serde::{
    Deserialize,
    de::value::{Error, SeqDeserializer},
};
use serde_json::Value;

/// A row: column name → value. `monitor_cond` leaves out columns that have their default value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a Value);

impl<'a> Row<'a> {
    /// The values of a set; an atom is a set of one.
    pub(super) fn set(self, column: &str) -> Set<Value> {
        let Some(value) = self.0.get(column) else { return Set(Vec::new()) };
        match tagged(value) {
            Some(("set", _)) => Set::deserialize(value).unwrap_or(Set(Vec::new())),
            _ => Set(vec![value.clone()]),
        }
    }

    fn one(self, column: &str) -> Option<Value> {
        self.set(column).0.into_iter().next()
    }

    /// A string, or the first of a set of strings.
    pub(super) fn string(self, column: &str) -> Option<String> {
        match self.one(column)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer, or the first of a set of integers.
    pub(super) fn integer(self, column: &str) -> Option<i64> {
        self.one(column)?.as_i64()
    }

    /// The rows a column refers to.
    pub(super) fn references(self, column: &str) -> Vec<Uuid> {
        let set = self.set(column);
        let texts = set.iter().filter_map(|value| match tagged(value) {
            Some(("uuid", text)) => text.as_str(),
            _ => None,
        });
        texts.filter_map(uuid).collect()
    }

    /// The row that a map from integers to rows has at `key`.
    pub(super) fn reference_at(self, column: &str, key: i64) -> Option<Uuid> {
        let Some(("map", Value::Array(pairs))) = tagged(self.0.get(column)?) else { return None };
        pairs.iter().find_map(|pair| match pair.as_array()?.as_slice() {
            [at, row] if at.as_i64() == Some(key) => match tagged(row) {
                Some(("uuid", text)) => uuid(text.as_str()?),
                _ => None,
            },
            _ => None,
        })
    }

    /// The value of a key in a map of strings; an empty one is absent.
    pub(super) fn key(self, column: &str, key: &str) -> Option<&'a str> {
        let Some(("map", Value::Array(pairs))) = tagged(self.0.get(column)?) else { return None };
        pairs.iter().find_map(|pair| {
            let pair = pair.as_array()?;
            (pair.first()?.as_str()? == key).then(|| pair.get(1)?.as_str())?.filter(|value| !value.is_empty())
        })
    }
}

/// A row's UUID from its text. The crate's type reads `["uuid", text]`: both are always there.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    let atom = SeqDeserializer::<_, Error>::new(["uuid", text].into_iter());
    Uuid::deserialize(atom).ok()
}

/// `["set", …]`, `["map", …]` or `["uuid", …]`.
fn tagged(value: &Value) -> Option<(&str, &Value)> {
    match value.as_array()?.as_slice() {
        [tag, content] => Some((tag.as_str()?, content)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "06234b93-6b4b-4f92-be8a-342dd858617c";
    const TWO: &str = "1ef13326-744a-4065-82ee-0998ff56dcc8";

    #[test]
    fn atoms_sets_and_maps_read() {
        let value = json!({"a": "x", "b": ["set", ["y", "z"]], "c": ["set", []], "n": -1, "t": ["set", [5]],
            "u": ["uuid", ONE], "v": ["set", [["uuid", ONE], ["uuid", TWO]]],
            "m": ["map", [3, ["k"], ["k", "w"], ["e", ""]]]});
        let row = Row(&value);
        assert_eq!(row.string("a").as_deref(), Some("x"));
        assert_eq!(row.string("b").as_deref(), Some("y"));
        assert_eq!((row.string("c"), row.string("absent")), (None, None));
        assert_eq!((row.integer("n"), row.integer("t")), (Some(-1), Some(5)));
        let [one, two] = [ONE, TWO].map(|text| uuid(text).unwrap());
        assert_eq!((row.references("u"), row.references("v")), (vec![one], vec![one, two]));
        assert_eq!((row.key("m", "k"), row.key("m", "e"), row.key("m", "x")), (Some("w"), None, None));
    }

    #[test]
    fn malformed_values_read_as_absent() {
        for bad in [
            json!(["set"]),
            json!(["set", 1]),
            json!(["set", [], []]),
            json!(["set", [["set"], ["uuid"], ["map"], []]]),
            json!(["set", [["uuid", 1], ["uuid", ["uuid"]], ["uuid", "1"], ["uuid", ONE, ONE]]]),
            json!(["uuid"]),
            json!(["uuid", null]),
            json!(["uuid", "no-such-thing"]),
            json!(["uuid", ["uuid", ONE]]),
            json!(["map"]),
            json!(["map", [["k"], 3, [], [1, 2]]]),
            json!([]),
            json!([["set"]]),
            json!({}),
            json!(null),
            json!([[], []]),
        ] {
            let value = json!({ "c": bad });
            let row = Row(&value);
            assert_eq!((row.string("c"), row.integer("c"), row.key("c", "k")), (None, None, None), "{value}");
            assert!(row.references("c").is_empty(), "{value}");
        }
        assert!(Row(&json!(7)).set("c").is_empty());
        assert!(Row(&json!({"c": ["set", {"0": 1}]})).set("c").is_empty());
    }

    /// Nothing a server can say inside a column makes the crate's types panic.
    #[test]
    fn no_nesting_of_tags_panics() {
        let mut values = vec![json!(1), json!(ONE), json!("set"), json!("uuid"), json!("map"), json!([])];
        for _ in 0..2 {
            let inner: Vec<Value> = values.iter().take(40).cloned().collect();
            for one in &inner {
                values.push(json!([one]));
                values.extend(inner.iter().map(|two| json!([one, two])));
                values.extend(["set", "uuid", "map"].map(|tag| json!([tag, [one]])));
            }
        }
        for value in values {
            let value = json!({ "c": value });
            let row = Row(&value);
            let _ = (row.string("c"), row.integer("c"), row.key("c", "set"), row.references("c"));
        }
    }
}
