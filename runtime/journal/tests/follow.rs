//! Reading by position while others write.

use swarm_actors::journal::{Append, EventData, Journal, Position, StreamName};
use swarm_journal::{DiskJournal, Options};

fn append(n: u64) -> Append {
    let stream = StreamName::new(&format!("s{}", n % 7)).expect("a name");
    let events = (0..=n % 4).map(|_| EventData {
        type_id: 1,
        version: 1,
        payload: n.to_string().into_bytes(),
        ..EventData::default()
    });
    Append::new(stream, events.collect())
}

#[test]
fn whatever_the_pages_every_position_is_read_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    // Segments so small that readers cross many.
    let options = Options {
        segment_bytes: 4096,
        ..Options::default()
    };
    let mut written = 0;
    // Readers with pages of different sizes, each where it has come to.
    let mut readers: Vec<(usize, u64)> = [1, 2, 3, 5, 64, 100_000].map(|page| (page, 0)).to_vec();
    for _life in 0..3 {
        let journal = DiskJournal::open(folder.path(), options.clone()).expect("open");
        for n in 0..300 {
            journal.append(append(n)).wait().expect("written");
            written += n % 4 + 1;
            if !n.is_multiple_of(17) {
                continue;
            }
            for (page, at) in &mut readers {
                loop {
                    let found = journal
                        .read_positions(Position(*at), None, *page)
                        .expect("read");
                    for event in &found {
                        *at += 1;
                        assert_eq!(event.position.0, *at, "page of {page}");
                    }
                    if found.len() < *page {
                        break;
                    }
                }
                assert_eq!(*at, written, "page of {page}");
            }
        }
        assert_eq!(journal.last_position(), Position(written));
        for (_, at) in &mut readers {
            *at = at.saturating_sub(40);
        }
    }
}
