//! A small store for each caller.

use crate::error::ToolError;
use crate::name::Caller;
use crate::schema::bytes_of;
use crate::tool::{Call, Tool};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The tool `key-value`: each caller has keys of its own, which no other caller sees. In memory: they outlive a crash of an
/// agent and not the node. When full, a `set` is `overloaded` and changes nothing.
#[derive(Debug)]
pub struct KeyValue {
    bounds: KeyValueBounds,
    stores: Mutex<Stores>,
}

/// The bounds of a [`KeyValue`]. Bytes count keys, and values as JSON.
#[derive(Clone, Copy, Debug)]
pub struct KeyValueBounds {
    /// How many keys a caller may have. 1024.
    pub keys_max: usize,
    /// How many bytes one caller's keys and values may have together. 1 MiB.
    pub caller_bytes_max: usize,
    /// How many bytes all of them may have together. 64 MiB.
    pub bytes_max: usize,
}

impl Default for KeyValueBounds {
    fn default() -> Self {
        Self {
            keys_max: 1024,
            caller_bytes_max: 1024 * 1024,
            bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// What an empty store of a caller counts for, in bytes, so that many callers with tiny stores are bounded, too.
const STORE_BYTES: usize = 128;

#[derive(Debug, Default)]
struct Stores {
    of: BTreeMap<Caller, Store>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Store {
    values: BTreeMap<String, (Value, usize)>,
    bytes: usize,
}

impl KeyValue {
    /// An empty store.
    #[must_use]
    pub fn new(bounds: KeyValueBounds) -> Self {
        Self {
            bounds,
            stores: Mutex::default(),
        }
    }

    fn get(&self, caller: &Caller, key: &str) -> Value {
        let stores = self.stores.lock();
        match stores
            .of
            .get(caller)
            .and_then(|store| store.values.get(key))
        {
            Some((value, _)) => json!({"found": true, "value": value}),
            None => json!({"found": false}),
        }
    }

    fn keys(&self, caller: &Caller, prefix: &str) -> Value {
        let stores = self.stores.lock();
        let keys: Vec<&str> = stores.of.get(caller).map_or_else(Vec::new, |store| {
            let from = store.values.range::<str, _>((
                std::ops::Bound::Included(prefix),
                std::ops::Bound::Unbounded,
            ));
            from.map(|(key, _)| key.as_str())
                .take_while(|key| key.starts_with(prefix))
                .collect()
        });
        json!({"keys": keys})
    }

    fn set(&self, caller: &Caller, key: &str, value: Value) -> Result<Value, ToolError> {
        let full = |what: String| Err(ToolError::Overloaded { reason: what });
        let Some(bytes) = bytes_of(&value, self.bounds.caller_bytes_max) else {
            return full(format!(
                "a store has {} bytes",
                self.bounds.caller_bytes_max
            ));
        };
        let bytes = bytes + key.len();
        let mut stores = self.stores.lock();
        let store = stores.of.get(caller);
        let old = store
            .and_then(|s| s.values.get(key))
            .map(|(_, bytes)| *bytes);
        let (count, used) = store.map_or((0, 0), |s| (s.values.len(), s.bytes));
        if old.is_none() && count >= self.bounds.keys_max {
            return full(format!("a store has {} keys", self.bounds.keys_max));
        }
        if used - old.unwrap_or(0) + bytes > self.bounds.caller_bytes_max {
            return full(format!(
                "a store has {} bytes",
                self.bounds.caller_bytes_max
            ));
        }
        let new_store = if store.is_none() { STORE_BYTES } else { 0 };
        let total = stores.bytes - old.unwrap_or(0) + bytes + new_store;
        if total > self.bounds.bytes_max {
            return full(format!(
                "all stores together have {} bytes",
                self.bounds.bytes_max
            ));
        }
        stores.bytes = total;
        let store = stores.of.entry(caller.clone()).or_default();
        store.bytes = used - old.unwrap_or(0) + bytes;
        store.values.insert(key.to_owned(), (value, bytes));
        Ok(json!({"replaced": old.is_some()}))
    }

    fn delete(&self, caller: &Caller, key: &str) -> Value {
        let mut stores = self.stores.lock();
        let Some(store) = stores.of.get_mut(caller) else {
            return json!({"deleted": false});
        };
        let Some((_, bytes)) = store.values.remove(key) else {
            return json!({"deleted": false});
        };
        store.bytes -= bytes;
        let emptied = store.values.is_empty();
        stores.bytes -= bytes;
        if emptied {
            stores.of.remove(caller);
            stores.bytes -= STORE_BYTES;
        }
        json!({"deleted": true})
    }
}

impl Default for KeyValue {
    fn default() -> Self {
        Self::new(KeyValueBounds::default())
    }
}

impl Tool for KeyValue {
    fn about(&self) -> &str {
        "Keeps JSON values by key, for the caller alone: `get`, `set`, `delete`, and `keys` (those that begin with `prefix`). \
         Outlives the caller's crash, not the node."
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "do": {"enum": ["get", "set", "delete", "keys"]},
                "key": {"type": "string", "minLength": 1, "maxLength": 256},
                "value": {"description": "any JSON; for `set`"},
                "prefix": {"type": "string", "maxLength": 256, "description": "for `keys`"}
            },
            "required": ["do"],
            "additionalProperties": false,
            "if": {"properties": {"do": {"const": "keys"}}},
            "then": {"properties": {"key": false, "value": false}},
            "else": {
                "required": ["key"],
                "properties": {"prefix": false},
                "if": {"properties": {"do": {"const": "set"}}},
                "then": {"required": ["value"]},
                "else": {"properties": {"value": false}}
            }
        })
    }

    async fn call(&self, mut input: Value, call: Call) -> Result<Value, ToolError> {
        let value = input["value"].take();
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        match text("do") {
            "get" => Ok(self.get(&call.caller, text("key"))),
            "set" => self.set(&call.caller, text("key"), value),
            "delete" => Ok(self.delete(&call.caller, text("key"))),
            _ => Ok(self.keys(&call.caller, text("prefix"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::new(name).expect("a caller")
    }

    #[test]
    fn a_caller_sees_its_own_keys_only() {
        let store = KeyValue::default();
        store.set(&caller("/a"), "k", json!(1)).expect("set");
        assert_eq!(store.get(&caller("/b"), "k"), json!({"found": false}));
        assert_eq!(
            store.get(&caller("/a"), "k"),
            json!({"found": true, "value": 1})
        );
        store.set(&caller("/a"), "key2", json!(null)).expect("set");
        assert_eq!(store.keys(&caller("/a"), "ke"), json!({"keys": ["key2"]}));
        assert_eq!(store.keys(&caller("/b"), ""), json!({"keys": []}));
    }

    #[test]
    fn each_bound_is_kept_and_a_refused_set_changes_nothing() {
        let bounds = KeyValueBounds {
            keys_max: 2,
            caller_bytes_max: 20,
            bytes_max: 2 * STORE_BYTES + 30,
        };
        let store = KeyValue::new(bounds);
        let (a, b) = (caller("/a"), caller("/b"));
        store
            .set(&a, "1", json!("12345678"))
            .expect("11 of 20 bytes");
        assert!(store.set(&a, "2", json!("12345678")).is_err(), "22 of 20");
        store
            .set(&a, "1", json!("1234567890123456"))
            .expect("19 of 20");
        store.set(&a, "1", json!(1)).expect("2 of 20");
        store.set(&a, "2", json!(1)).expect("the second key");
        assert!(store.set(&a, "3", json!(1)).is_err(), "a third key");
        store
            .set(&b, "1", json!("12345678901234567"))
            .expect("20 of 20");
        assert!(
            store.set(&caller("/c"), "1", json!("")).is_err(),
            "a third store"
        );
        assert_eq!(store.keys(&a, ""), json!({"keys": ["1", "2"]}));
    }

    #[test]
    fn what_is_deleted_leaves_no_bytes_behind() {
        let store = KeyValue::default();
        for n in 0..100 {
            store
                .set(&caller(&format!("/{n}")), "k", json!([n]))
                .expect("set");
        }
        for n in 0..100 {
            let a = caller(&format!("/{n}"));
            assert_eq!(store.delete(&a, "k"), json!({"deleted": true}));
            assert_eq!(store.delete(&a, "k"), json!({"deleted": false}));
        }
        let stores = store.stores.lock();
        assert_eq!((stores.bytes, stores.of.len()), (0, 0));
    }
}
