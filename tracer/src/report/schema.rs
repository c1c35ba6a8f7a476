//! The JSON schemas of all outputs, made of the types that are written.

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    clean::CleanReport, list_json::Listing, packet::PacketLine, path_json::PathReport, top::TopReport,
    trace_json::DropsReport,
};
use crate::model::Report;

/// The schema of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSchema {
    /// The output, by its command: `trace`.
    pub name: &'static str,
    /// What its member `schema` says, and the name of its file, with a dash instead of the slash.
    pub version: &'static str,
    /// The schema, JSON Schema 2020-12.
    pub schema: Schema,
}

/// The schemas of all outputs.
#[must_use]
pub fn schemas() -> Vec<OutputSchema> {
    vec![
        of::<Listing<'_>>("list", "hoptrace.list/1"),
        of::<PathReport<'_>>("path", "hoptrace.path/2"),
        of::<Report>("trace", "hoptrace.trace/2"),
        of::<DropsReport<'_>>("drops", "hoptrace.drops/2"),
        of::<TopReport<'_>>("top", "hoptrace.top/1"),
        of::<PacketLine<'_>>("packets", "hoptrace.packet/1"),
        of::<CleanReport<'_>>("clean", "hoptrace.clean/1"),
    ]
}

fn of<T: JsonSchema>(name: &'static str, version: &'static str) -> OutputSchema {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(RecursiveTransform(with_known_formats))
        .with_transform(RecursiveTransform(in_words_of_json));
    OutputSchema { name, version, schema: settings.into_generator().into_root_schema_for::<T>() }
}

/// JSON Schema knows the two kinds of IP addresses apart only.
fn with_known_formats(schema: &mut Schema) {
    if schema.get("format").is_some_and(|format| format == "ip") {
        schema.remove("format");
        schema.insert("anyOf".to_owned(), json!([{ "format": "ipv4" }, { "format": "ipv6" }]));
    }
}

/// Descriptions are doc comments, with the names of Rust in them.
fn in_words_of_json(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = without_links(&description.replace("`None`", "null"));
    }
}

/// "see [`Ledger::clock_skew`](super::Ledger)" as "see `clock_skew`".
fn without_links(text: &str) -> String {
    let Some((before, rest)) = text.split_once("[`") else { return text.to_owned() };
    let Some((link, after)) = rest.split_once("`]") else { return text.to_owned() };
    let name = link.rsplit("::").next().unwrap_or(link);
    let target = after.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    format!("{before}`{name}`{}", without_links(target.map_or(after, |(_, after)| after)))
}

impl OutputSchema {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.schema.json", self.version.replace('/', "-"))
    }

    /// The schema as text, ending with a newline.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema.as_value())
    }
}

/// An object as one line of JSON. Everything in it can be written: strings, numbers and lists of them.
pub(super) fn written(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_in_words_of_json() {
        assert_eq!(
            without_links("see [`Ledger::clock_skew`](super::Ledger), [`Hop`]."),
            "see `clock_skew`, `Hop`."
        );
        assert_eq!(without_links("an [ open `one"), "an [ open `one");
        for of in schemas() {
            let text = of.text();
            assert!(!text.contains("`None`") && !text.contains("[`"), "{}", of.name);
        }
    }
}
