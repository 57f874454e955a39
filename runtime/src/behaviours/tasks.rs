//! What a text worker can do: real work on texts, and some tasks that end badly on purpose.

use super::words::{WordCounter, pieces};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much text is worked on before other agents get their turn: some tens of microseconds of work.
const PIECE_BYTES: usize = 64 << 10;

/// The longest sleep that can be ordered: an hour. The attempt's deadline is the bound that counts.
const SLEEP_MS_MAX: u64 = 3_600_000;

/// The longest spin that can be ordered: nothing but the end of the process stops one before its time.
const SPIN_MS_MAX: u64 = 10_000;

/// The input of `sleep` and `spin`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    ms: u64,
}

/// All tasks, each with what it does; the first is the one to try.
pub const TASKS: [(&str, &str); 10] = [
    ("word-count", "text -> {\"words\",\"lines\",\"bytes\"}"),
    (
        "count-lines",
        "{\"text\",\"contains\"} -> {\"lines\"}: lines that contain a text",
    ),
    (
        "top-words",
        "{\"text\",\"count\"} -> [[word, times], ...]: the most frequent words",
    ),
    ("hash", "text -> {\"fnv1a64\"}: a hash of its bytes"),
    ("upper", "text -> text in upper case"),
    ("sleep", "{\"ms\"} -> {\"slept_ms\"}: waits"),
    ("fail", "any -> failure; the worker lives"),
    ("panic", "any -> the worker panics"),
    ("hang", "any -> the worker never answers"),
    ("spin", "{\"ms\"} -> {\"spun_ms\"}: holds its thread"),
];

/// Why a task gave no output though the worker lives.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error("unknown task {task:?}; there are {}", names())]
    Unknown { task: String },
    #[error("task {task}: bad input: {cause}")]
    BadInput {
        task: &'static str,
        cause: serde_json::Error,
    },
    #[error("failed as ordered: {input}")]
    Ordered { input: String },
}

fn names() -> String {
    TASKS.map(|(name, _)| name).join(", ")
}

/// Does `task` with `input`. Yields between pieces of a big text.
pub(super) async fn perform(task: &str, input: &RawValue) -> Result<Box<RawValue>, TaskError> {
    match task {
        "word-count" => {
            let text: String = read("word-count", input)?;
            let mut counter = WordCounter::default();
            for piece in pieces(&text, PIECE_BYTES) {
                counter.feed(piece);
                tokio::task::yield_now().await;
            }
            Ok(output(&counter.finish()))
        }
        "count-lines" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Input {
                text: String,
                contains: String,
            }
            let input: Input = read("count-lines", input)?;
            let mut found = 0_u64;
            let mut bytes = 0;
            for line in input.text.lines() {
                found += u64::from(line.contains(&input.contains));
                pause_after(&mut bytes, line.len()).await;
            }
            Ok(output(&json!({ "lines": found })))
        }
        "top-words" => top_words(input).await,
        "hash" => {
            let text: String = read("hash", input)?;
            let mut hash = 0xcbf2_9ce4_8422_2325_u64;
            for piece in pieces(&text, PIECE_BYTES) {
                for byte in piece.bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
                tokio::task::yield_now().await;
            }
            Ok(output(&json!({ "fnv1a64": format!("{hash:016x}") })))
        }
        "upper" => {
            let text: String = read("upper", input)?;
            let mut upper = String::with_capacity(text.len());
            for piece in pieces(&text, PIECE_BYTES) {
                upper.push_str(&piece.to_uppercase());
                tokio::task::yield_now().await;
            }
            Ok(output(&upper))
        }
        "sleep" => {
            let Time { ms } = read("sleep", input)?;
            let ms = ms.min(SLEEP_MS_MAX);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(output(&json!({ "slept_ms": ms })))
        }
        "spin" => {
            let Time { ms } = read("spin", input)?;
            let ms = ms.min(SPIN_MS_MAX);
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(ms) {
                std::hint::spin_loop();
            }
            Ok(output(&json!({ "spun_ms": ms })))
        }
        "fail" => Err(TaskError::Ordered {
            input: input.get().to_owned(),
        }),
        "panic" => panic!("ordered to panic by {}", input.get()),
        "hang" => std::future::pending().await,
        _ => Err(TaskError::Unknown {
            task: task.to_owned(),
        }),
    }
}

async fn top_words(input: &RawValue) -> Result<Box<RawValue>, TaskError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        text: String,
        #[serde(default = "ten")]
        count: usize,
    }
    fn ten() -> usize {
        10
    }
    let input: Input = read("top-words", input)?;
    let mut times: HashMap<&str, u64> = HashMap::new();
    let mut bytes = 0;
    for word in input.text.split_whitespace() {
        *times.entry(word).or_default() += 1;
        pause_after(&mut bytes, word.len() + 1).await;
    }
    let mut words: Vec<_> = times.into_iter().collect();
    words.sort_unstable_by(|(a, a_times), (b, b_times)| b_times.cmp(a_times).then(a.cmp(b)));
    words.truncate(input.count);
    Ok(output(&words))
}

/// The output as JSON, keys in the order in which their type has them.
fn output(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("texts and numbers always serialize")
}

fn read<T: DeserializeOwned>(task: &'static str, input: &RawValue) -> Result<T, TaskError> {
    serde_json::from_str(input.get()).map_err(|cause| TaskError::BadInput { task, cause })
}

/// Yields once a piece's worth of bytes was worked on.
async fn pause_after(bytes: &mut usize, more: usize) {
    *bytes += more;
    if *bytes >= PIECE_BYTES {
        *bytes = 0;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    async fn done(task: &str, input: Value) -> Result<Value, String> {
        let input = output(&input);
        match perform(task, &input).await {
            Ok(output) => Ok(serde_json::from_str(output.get()).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_task_answers_in_its_form() {
        let table = [
            (
                "word-count",
                json!("two words\n"),
                json!({"words": 2, "lines": 1, "bytes": 10}),
            ),
            (
                "count-lines",
                json!({"text": "ab\nbc\ncd", "contains": "b"}),
                json!({"lines": 2}),
            ),
            (
                "top-words",
                json!({"text": "b a b c a b", "count": 2}),
                json!([["b", 3], ["a", 2]]),
            ),
            ("hash", json!("a"), json!({"fnv1a64": "af63dc4c8601ec8c"})),
            ("upper", json!("stra\u{df}e"), json!("STRASSE")),
            ("sleep", json!({"ms": 5}), json!({"slept_ms": 5})),
        ];
        for (task, input, output) in table {
            assert_eq!(done(task, input).await, Ok(output), "{task}");
        }
    }

    #[tokio::test]
    async fn a_bad_order_is_a_failure_that_says_what_was_wrong() {
        assert_eq!(
            done("word-count", json!(7)).await.unwrap_err(),
            "task word-count: bad input: invalid type: integer `7`, expected a string at line 1 column 1"
        );
        assert!(
            done("wordcount", json!("a"))
                .await
                .unwrap_err()
                .starts_with("unknown task \"wordcount\"; there are word-count, ")
        );
        assert_eq!(
            done("fail", json!("no")).await.unwrap_err(),
            "failed as ordered: \"no\""
        );
    }
}
