//! Inputs against JSON schemas.

use crate::error::{ToolError, plain};
use serde_json::Value;

/// The largest schema, in bytes of JSON. A server that needs more is not one to trust with a parser.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// How large one compiled pattern may become, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// How often a pattern that needs backtracking may go back before the input counts as not matching.
const BACKTRACKS_MAX: usize = 10_000;
/// How many steps a schema may ask for when each of its references is followed, without regard to the input: what keeps
/// thirty small definitions, each of which refers to the next twice, from taking minutes.
const STEPS_MAX: u64 = 100_000;

/// A compiled schema. It never reads a file or the network.
#[derive(Debug)]
pub(crate) struct InputSchema {
    validator: jsonschema::Validator,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// It is larger than [`SCHEMA_BYTES_MAX`].
    #[error("the schema has more than {SCHEMA_BYTES_MAX} bytes")]
    TooLarge,
    /// Its references multiply: checking an input could take for ever.
    #[error("the schema refers to itself too often to be checked in a bounded time")]
    TooDeep,
    /// It is no JSON schema, or refers to something outside of itself.
    #[error("{problem}")]
    Invalid {
        /// What is wrong.
        problem: String,
    },
}

impl InputSchema {
    pub(crate) fn new(schema: &Value) -> Result<Self, BadSchema> {
        if bytes_of(schema, SCHEMA_BYTES_MAX).is_none() {
            return Err(BadSchema::TooLarge);
        }
        if steps(schema) > STEPS_MAX {
            return Err(BadSchema::TooDeep);
        }
        let patterns = jsonschema::PatternOptions::fancy_regex()
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .backtrack_limit(BACKTRACKS_MAX);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| BadSchema::Invalid {
                problem: plain(&error.to_string()),
            })?;
        Ok(Self { validator })
    }

    /// Whether the input is valid; if not, what is wrong first, and where, without the value that is there.
    pub(crate) fn check(&self, input: &Value) -> Result<(), ToolError> {
        self.validator.validate(input).map_err(|error| {
            ToolError::invalid(
                plain(error.instance_path().as_str()),
                plain(&error.masked_with("this value").to_string()),
            )
        })
    }
}

/// How many bytes a value has as JSON; none if more than `bytes_max`, without counting on.
pub(crate) fn bytes_of(value: &Value, bytes_max: usize) -> Option<usize> {
    struct Count {
        left: usize,
    }
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.left = self
                .left
                .checked_sub(bytes.len())
                .ok_or(std::io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count { left: bytes_max };
    serde_json::to_writer(&mut count, value)
        .ok()
        .map(|()| bytes_max - count.left)
}

/// How many subschemas are visited when each reference into the schema is followed once per path to it. A reference to
/// where one is already is not followed: such a schema descends with the input, which is finite.
fn steps(schema: &Value) -> u64 {
    fn visit<'s>(root: &'s Value, value: &'s Value, on_the_way: &mut Vec<&'s str>, left: &mut u64) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        match value {
            Value::Array(items) => items
                .iter()
                .for_each(|item| visit(root, item, on_the_way, left)),
            Value::Object(keys) => {
                for (key, item) in keys {
                    let target = item.as_str().filter(|_| key == "$ref");
                    match target.and_then(|t| Some((t, root.pointer(t.strip_prefix('#')?)?))) {
                        Some((reference, found)) if !on_the_way.contains(&reference) => {
                            on_the_way.push(reference);
                            visit(root, found, on_the_way, left);
                            on_the_way.pop();
                        }
                        _ => visit(root, item, on_the_way, left),
                    }
                }
            }
            _ => {}
        }
    }
    let mut left = STEPS_MAX + 1;
    visit(schema, schema, &mut Vec::new(), &mut left);
    if left == 0 {
        u64::MAX
    } else {
        STEPS_MAX + 1 - left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value, input: Value) -> Result<(), ToolError> {
        InputSchema::new(&schema).expect("a schema").check(&input)
    }

    #[test]
    fn a_wrong_input_is_named_with_its_place_and_without_its_value() {
        let schema = json!({"type": "object", "properties": {"keys": {"items": {"maxLength": 3}}}});
        let wrong = check(schema, json!({"keys": ["abc", "hunter2-secret"]}));
        let Err(ToolError::InvalidInput { at, problem }) = wrong else {
            panic!("{wrong:?}");
        };
        assert_eq!(at, "/keys/1");
        assert!(!problem.contains("hunter2"), "{problem}");
    }

    #[test]
    fn a_schema_reads_nothing_from_outside() {
        for outside in ["http://127.0.0.1:1/s.json", "file:///etc/passwd"] {
            let built = InputSchema::new(&json!({"$ref": outside}));
            assert!(matches!(built, Err(BadSchema::Invalid { .. })), "{built:?}");
        }
    }

    #[test]
    fn references_that_multiply_are_refused() {
        let mut defs = serde_json::Map::new();
        for n in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs.insert(format!("d{n}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d40".to_owned(), json!({}));
        let built = InputSchema::new(&json!({"$defs": defs, "$ref": "#/$defs/d0"}));
        assert_eq!(built.expect_err("a bomb"), BadSchema::TooDeep);
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_finite() {
        let tree = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(check(tree.clone(), json!({"next": {"next": {}}})).is_ok());
        assert!(check(tree, json!({"next": {"next": 1}})).is_err());
        // Says nothing, and must say it at once.
        let _ = InputSchema::new(&json!({"$ref": "#"})).map(|s| s.check(&json!(1)));
        let _ = InputSchema::new(&json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}))
            .map(|s| s.check(&json!(1)));
    }

    #[test]
    fn a_pattern_that_explodes_ends() {
        let schema = json!({"type": "string", "pattern": "^(?=(a+)+$)(a|aa)+$\\1"});
        let input = json!("a".repeat(2000) + "b");
        if let Ok(schema) = InputSchema::new(&schema) {
            assert!(schema.check(&input).is_err());
        }
    }

    #[test]
    fn no_schema_panics() {
        for schema in [
            json!(null),
            json!(1),
            json!([]),
            json!({"type": 7}),
            json!({"pattern": "("}),
            json!({"$ref": "#/nowhere"}),
        ] {
            assert!(InputSchema::new(&schema).is_err(), "{schema}");
        }
    }
}
