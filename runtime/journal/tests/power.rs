//! A power loss as the file system has it: the journal is on an ext4 of its own, on a loop device; what that device has received
//! when the writer is stopped in the midst of its work is copied, mounted and opened. What was written and not synced is lost.
//!
//! Needs the right to mount. Without it nothing is tested here, which is said; the same is tested over files that lose what was
//! not synced (`what_was_acknowledged_outlives_a_power_loss_at_any_write`).

mod common;

use common::small;
use common::writing::{Acked, Writing, whole_batches, write_if_child};
use fastrand::Rng;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use swarm_journal::DiskJournal;

fn run(program: &str, arguments: &[&Path]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// A file system in a file, mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        run("mount", &[Path::new("-oloop"), image, at]).then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[&self.0]);
    }
}

/// Stops a process, and waits until none of its threads does anything any more.
fn stop(pid: u32) {
    let number = pid.to_string();
    assert!(run("kill", &[Path::new("-STOP"), Path::new(&number)]));
    let is_stopped = |task: std::fs::DirEntry| {
        let told = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        told.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" T"))
    };
    let begun = Instant::now();
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is there");
        if tasks.flatten().all(is_stopped) {
            return;
        }
        assert!(begun.elapsed().as_secs() < 30, "it does not stop");
        std::thread::yield_now();
    }
}

/// Copies the device as it is at one moment. The kernel goes on writing by itself: a copy during which it did is none of any
/// moment, and made again.
fn copy_at_rest(image: &Path, to: &Path) {
    let begun = Instant::now();
    loop {
        assert!(run("cp", &[Path::new("--sparse=always"), image, to]));
        if run("cmp", &[Path::new("-s"), image, to]) {
            return;
        }
        assert!(
            begun.elapsed().as_secs() < 60,
            "the device is never at rest"
        );
    }
}

/// Not a test of its own: the process that writes when the power goes.
#[test]
fn child_writes_until_the_power_goes() {
    write_if_child();
}

#[test]
fn what_was_acknowledged_is_on_the_disk_when_the_power_goes() {
    let rounds = std::env::var("SWARM_POWER_ROUNDS").ok();
    let rounds = rounds.and_then(|n| n.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let file = std::fs::File::create(&image).expect("a file");
    file.set_len(64 << 20).expect("a sparse file");
    drop(file);
    let mut mounted = None;
    if run("mkfs.ext4", &[Path::new("-q"), Path::new("-F"), &image]) {
        mounted = Mounted::new(&image, &folder.path().join("before-0"));
    }
    let Some(mut mounted) = mounted else {
        println!("LEFT OUT: no right to make and mount a file system. NOTHING WAS TESTED.");
        return;
    };
    let (mut rng, mut acked) = (Rng::with_seed(3), Acked::new());
    for round in 1..=rounds {
        let directory = mounted.0.join("journal");
        let mut writing = Writing::start("child_writes_until_the_power_goes", &directory);
        writing.read(rng.usize(1..600), &mut acked);
        // What it says it has acknowledged is in the pipe; it says nothing more while the device is copied.
        stop(writing.child.id());
        let lost = folder.path().join(format!("image-{round}"));
        copy_at_rest(&image, &lost);
        writing.kill(&mut acked);
        drop(mounted);
        // The power is back: of the file system there is what the device had.
        std::fs::rename(&lost, &image).expect("renamed");
        let at = folder.path().join(format!("before-{round}"));
        mounted = Mounted::new(&image, &at).expect("it can be mounted");
        let journal = DiskJournal::open(&mounted.0.join("journal"), small()).expect("it opens");
        assert_eq!(journal.opening().damaged, [], "round {round}");
        for (stream, count) in &acked {
            let found = whole_batches(&journal, *stream);
            assert!(
                found >= *count,
                "round {round}: stream {stream} has {found} of {count} batches"
            );
        }
        journal.abandon();
    }
    println!(
        "{rounds} power losses, {} batches acknowledged",
        acked.values().sum::<u64>()
    );
}
