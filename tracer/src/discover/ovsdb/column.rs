//! OVSDB's notation for column values (RFC 7047, section 5.1). What has another shape reads as absent.

use serde_json::Value;

/// A row: column name → value. `monitor_cond` leaves out columns that have their default value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a Value);

impl<'a> Row<'a> {
    /// The values of a set; an atom is a set of one.
    pub(super) fn set(self, column: &str) -> Vec<&'a Value> {
        match self.0.get(column) {
            None => Vec::new(),
            Some(value) => match tagged(value) {
                Some(("set", Value::Array(values))) => values.iter().collect(),
                Some(("set", _)) => Vec::new(),
                _ => vec![value],
            },
        }
    }

    fn one(self, column: &str) -> Option<&'a Value> {
        self.set(column).into_iter().next()
    }

    /// A string, or the first of a set of strings.
    pub(super) fn string(self, column: &str) -> Option<String> {
        self.one(column)?.as_str().map(str::to_owned)
    }

    /// An integer, or the first of a set of integers.
    pub(super) fn integer(self, column: &str) -> Option<i64> {
        self.one(column)?.as_i64()
    }

    /// The rows a column refers to, by UUID.
    pub(super) fn references(self, column: &str) -> Vec<&'a str> {
        self.set(column)
            .into_iter()
            .filter_map(|value| match tagged(value) {
                Some(("uuid", uuid)) => uuid.as_str(),
                _ => None,
            })
            .collect()
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

    #[test]
    fn atoms_sets_and_maps_read() {
        let value = json!({"a": "x", "b": ["set", ["y", "z"]], "c": ["set", []], "n": -1, "t": ["set", [5]],
            "u": ["uuid", "1"], "v": ["set", [["uuid", "1"], ["uuid", "2"]]], "m": ["map", [["k", "w"], ["e", ""]]]});
        let row = Row(&value);
        assert_eq!(row.string("a").as_deref(), Some("x"));
        assert_eq!(row.string("b").as_deref(), Some("y"));
        assert_eq!((row.string("c"), row.string("absent")), (None, None));
        assert_eq!((row.integer("n"), row.integer("t")), (Some(-1), Some(5)));
        assert_eq!((row.references("u"), row.references("v")), (vec!["1"], vec!["1", "2"]));
        assert_eq!((row.key("m", "k"), row.key("m", "e"), row.key("m", "x")), (Some("w"), None, None));
    }

    #[test]
    fn malformed_values_read_as_absent() {
        for bad in [
            json!(["set"]),
            json!(["set", 1]),
            json!(["uuid"]),
            json!(["map", [["k"], 3, [], [1, 2]]]),
            json!([]),
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
    }
}
