//! One job per text file of a folder.

use super::job::{Entry, Job, JobId, JobResult};
use super::lines::LINE_BYTES_MAX;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Folders that hold what tools made, not what people wrote.
const FOLDERS_PASSED_OVER: [&str; 2] = [".git", "target"];

/// Makes a job of each text file below a folder, in the order of their paths: id is the path relative to the folder,
/// input the text.
///
/// Links are not followed. `.git` and `target` folders, files that no pattern matches, and files that are not UTF-8 text
/// (or hold a NUL) are passed over; of the last there is a count. A file that is too big or cannot be read is a failed
/// result.
pub struct FileJobs {
    root: PathBuf,
    globs: Globs,
    task: String,
    /// What is still to be visited, the next one last; the depth of the stack is bounded by the width of the folders on
    /// one path.
    stack: Vec<Place>,
    not_text: Arc<AtomicU64>,
}

enum Place {
    Folder(PathBuf),
    File(PathBuf),
    Broken(PathBuf, io::Error),
}

impl FileJobs {
    /// The files below `root` whose path matches `globs`.
    ///
    /// # Errors
    /// When `root` is no folder that can be read.
    pub fn new(root: &Path, globs: Globs, task: String) -> io::Result<Self> {
        fs::read_dir(root)?;
        Ok(Self {
            root: root.to_owned(),
            globs,
            task,
            stack: vec![Place::Folder(PathBuf::new())],
            not_text: Arc::default(),
        })
    }

    /// How many files were passed over because they are not UTF-8 text; goes on counting while the jobs are read.
    #[must_use]
    pub fn not_text(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.not_text)
    }

    /// Puts the content of a folder on the stack.
    fn open(&mut self, folder: &Path) -> io::Result<()> {
        let mut found: Vec<(OsString, fs::FileType)> = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            found.push((entry.file_name(), entry.file_type()?));
        }
        found.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (name, kind) in found {
            let path = folder.join(&name);
            if kind.is_dir() {
                if !FOLDERS_PASSED_OVER.iter().any(|other| name == *other) {
                    self.stack.push(Place::Folder(path));
                }
            } else if kind.is_file() && self.globs.matches(&id_of(&path)) {
                self.stack.push(Place::File(path));
            }
        }
        Ok(())
    }

    fn job(&self, path: &Path) -> Option<Entry> {
        let id = JobId::text(&id_of(path));
        let bad = |error: &str| Some(Entry::Bad(JobResult::bad(Some(id.clone()), None, error)));
        let text = match read_text(&self.root.join(path)) {
            Ok(Some(text)) => text,
            Ok(None) => {
                self.not_text.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Err(error) => return bad(&format!("cannot read the file: {error}")),
        };
        if text.len() > LINE_BYTES_MAX {
            return bad(&format!(
                "the file has more than {LINE_BYTES_MAX} bytes, at most so many make a job"
            ));
        }
        match serde_json::value::to_raw_value(&text) {
            Ok(input) => Some(Entry::Job(Job {
                id,
                task: self.task.clone(),
                input,
            })),
            Err(error) => bad(&error.to_string()),
        }
    }
}

impl Iterator for FileJobs {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.stack.pop()? {
                Place::Folder(folder) => {
                    if let Err(error) = self.open(&folder) {
                        self.stack.push(Place::Broken(folder, error));
                    }
                }
                Place::Broken(folder, error) => {
                    return Some(Ok(Entry::Bad(JobResult::bad(
                        Some(JobId::text(&format!("{}/", id_of(&folder)))),
                        None,
                        &format!("cannot read the folder: {error}"),
                    ))));
                }
                Place::File(path) => {
                    if let Some(entry) = self.job(&path) {
                        return Some(Ok(entry));
                    }
                }
            }
        }
    }
}

/// The text in the file, cut off behind the bound (a file may grow while it is read); none where it is not text.
fn read_text(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LINE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Ok(None);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        // The bound may have cut a character in two.
        Err(error)
            if error.utf8_error().error_len().is_none()
                && error.as_bytes().len() > LINE_BYTES_MAX =>
        {
            Ok(Some(String::from_utf8_lossy(error.as_bytes()).into_owned()))
        }
        Err(_) => Ok(None),
    }
}

fn id_of(path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

/// Patterns for paths: `*` stands for anything but `/`, `**` for anything, `?` for one character. A pattern without `/`
/// looks at the last part of the path only. No pattern at all matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs(Vec<Vec<Piece>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Char(char),
    AnyChar,
    AnyInPart,
    Any,
}

/// Why a text is no list of patterns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A character that other programs give a meaning that it does not have here.
    #[error(
        "{character:?} has no meaning in a pattern; there are '*', '**', '?' and ',' between patterns"
    )]
    Unsupported {
        /// Which.
        character: char,
    },
}

impl FromStr for Globs {
    type Err = GlobError;

    /// Reads patterns with commas between them, such as `*.md,src/**.rs`.
    fn from_str(text: &str) -> Result<Self, GlobError> {
        let patterns = text
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty());
        Ok(Self(patterns.map(read_pattern).collect::<Result<_, _>>()?))
    }
}

fn read_pattern(text: &str) -> Result<Vec<Piece>, GlobError> {
    let mut pieces = Vec::new();
    if !text.contains('/') {
        pieces.push(Piece::Any);
        // Anything, and then a `/` unless that was nothing: `matches` puts one in front of the path.
        pieces.push(Piece::Char('/'));
    } else if !text.starts_with('/') {
        pieces.push(Piece::Char('/'));
    }
    for character in text.chars() {
        match (character, pieces.last()) {
            ('*', Some(Piece::AnyInPart)) => {
                pieces.pop();
                pieces.push(Piece::Any);
            }
            ('*', _) => pieces.push(Piece::AnyInPart),
            ('?', _) => pieces.push(Piece::AnyChar),
            ('[' | ']' | '{' | '}' | '!' | '\\', _) => {
                return Err(GlobError::Unsupported { character });
            }
            (character, _) => pieces.push(Piece::Char(character)),
        }
    }
    Ok(pieces)
}

impl Globs {
    /// Whether one of the patterns matches the path, which is relative and has `/` between its parts.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = std::iter::once('/').chain(path.chars()).collect();
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, &path))
    }
}

/// One row of the usual table: which prefixes of the path the pattern read so far can match. Linear in both, whatever the
/// number of stars.
fn matches(pattern: &[Piece], path: &[char]) -> bool {
    let mut reachable = vec![false; path.len() + 1];
    reachable[0] = true;
    for piece in pattern {
        match piece {
            Piece::Any => {
                for at in 0..path.len() {
                    reachable[at + 1] |= reachable[at];
                }
            }
            Piece::AnyInPart => {
                for (at, character) in path.iter().enumerate() {
                    reachable[at + 1] |= reachable[at] && *character != '/';
                }
            }
            Piece::Char(_) | Piece::AnyChar => {
                for (at, character) in path.iter().enumerate().rev() {
                    let fits = match piece {
                        Piece::Char(expected) => character == expected,
                        Piece::AnyChar | Piece::AnyInPart | Piece::Any => *character != '/',
                    };
                    reachable[at + 1] = reachable[at] && fits;
                }
                reachable[0] = false;
            }
        }
    }
    reachable[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_people_expect() {
        let table = [
            ("*.md", "README.md", true),
            ("*.md", "docs/a.md", true),
            ("*.md,*.rs", "a/b/c.rs", true),
            ("*.md", "a.mdx", false),
            ("docs/*.md", "docs/a.md", true),
            ("docs/*.md", "docs/b/a.md", false),
            ("docs/**.md", "docs/b/a.md", true),
            ("docs/*.md", "other/docs/a.md", false),
            ("?.rs", "a.rs", true),
            ("?.rs", "ab.rs", false),
            ("", "anything", true),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ];
        for (globs, path, expected) in table {
            let globs: Globs = globs.parse().unwrap();
            assert_eq!(globs.matches(path), expected, "{globs:?} {path}");
        }
        assert!("[a].md".parse::<Globs>().is_err());
    }

    #[test]
    fn each_text_file_is_a_job_in_the_order_of_paths() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("b.md", b"two words");
        write("a/c.md", "\u{fc}\n".as_bytes());
        write("a/c.rs", b"no");
        write("a/image.md", b"\xff\xd8");
        write("a/zero.md", b"a\0b");
        write("target/x.md", b"no");
        write(".git/x.md", b"no");
        let jobs = FileJobs::new(folder.path(), "*.md".parse().unwrap(), "t".into()).unwrap();
        let not_text = jobs.not_text();
        let found: Vec<_> = jobs
            .map(|entry| match entry.unwrap() {
                Entry::Job(job) => (job.id.to_string(), job.input.get().to_owned()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [("a/c.md", "\"\u{fc}\\n\""), ("b.md", "\"two words\"")];
        assert_eq!(found, expected.map(|(id, text)| (id.into(), text.into())));
        assert_eq!(not_text.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_file_beyond_the_bound_is_a_failed_result() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("big.txt")).unwrap();
        io::copy(
            &mut io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 1),
            &mut &file,
        )
        .unwrap();
        let jobs = FileJobs::new(folder.path(), Globs::default(), "t".into()).unwrap();
        let entries: Vec<_> = jobs.map(|entry| entry.unwrap()).collect();
        assert!(
            matches!(&entries[..], [Entry::Bad(result)] if result.id == Some(JobId::text("big.txt")))
        );
    }
}
