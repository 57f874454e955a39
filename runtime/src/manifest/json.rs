//! The `config` of an agent as JSON, the form in which behaviours get it.

use super::problem::Problems;
use super::reader::{Section, quoted};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

/// Turns a TOML value into JSON. Dates become text; what JSON cannot hold is noted and becomes null.
pub(super) fn from_toml(
    value: &Spanned<DeValue<'_>>,
    key: &str,
    problems: &mut Problems<'_>,
) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Number(number.into()),
            Err(_) => {
                problems.note(&value.span(), key, "beyond 64 bits", None);
                Value::Null
            }
        },
        DeValue::Float(float) => match float
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
        {
            Some(number) => Value::Number(number),
            None => {
                problems.note(
                    &value.span(),
                    key,
                    "neither infinite numbers nor NaN can be handed to a behaviour",
                    None,
                );
                Value::Null
            }
        },
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(at, item)| from_toml(item, &format!("{key}[{at}]"), problems))
                .collect(),
        ),
        DeValue::Table(table) => {
            let mut map = Map::new();
            for (name, item) in Section::entries(table) {
                let inner = format!("{key}.{}", quoted(name.get_ref()));
                map.insert(
                    name.get_ref().clone().into_owned(),
                    from_toml(item, &inner, problems),
                );
            }
            Value::Object(map)
        }
    }
}
