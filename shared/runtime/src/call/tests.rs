//! The pure parts of calls: bounds, pauses, whose turn it is, and words from outside.

use super::*;

fn call() -> Call {
    Call {
        id: String::from("o-17-ship"),
        purpose: String::from("ship"),
        about: String::from("o-17"),
        request: String::from("{}"),
        first: false,
    }
}

#[test]
fn a_call_beyond_its_bounds_is_refused_with_what_is_too_much() {
    assert_eq!(call().check(), Ok(()));
    let refused = |change: fn(&mut Call), word: &str| {
        let mut call = call();
        change(&mut call);
        let why = call.check().err().unwrap_or_default();
        assert!(why.contains(word), "{why:?}");
    };
    refused(|call| call.id.clear(), "the id of a call");
    refused(|call| call.id.push('\n'), "printable");
    refused(|call| call.id.push('ü'), "printable");
    refused(|call| call.id = "a".repeat(256), "the id of a call has 256");
    refused(|call| call.purpose.clear(), "the purpose of the call");
    refused(|call| call.about.clear(), "the about of the call");
    refused(|call| call.purpose = "a".repeat(65), "purpose");
    refused(|call| call.about = "a".repeat(256), "about");
    refused(|call| call.request = "a".repeat((256 << 10) + 1), "request");
}

#[test]
fn pauses_double_up_to_a_bound_and_chance_takes_away_a_half_at_most() {
    let pace = Pace {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
    };
    let between = |attempts| {
        let pause = |chance| pace.pause(attempts, None, chance).as_millis();
        (pause(0.0), pause(1.0))
    };
    assert_eq!(between(1), (500, 1_000));
    assert_eq!(between(2), (1_000, 2_000));
    assert_eq!(between(6), (16_000, 32_000));
    assert_eq!(between(7), (30_000, 60_000));
    for attempts in [8, 31, 32, 1_000, i64::MAX] {
        assert_eq!(between(attempts), (30_000, 60_000), "{attempts}");
    }
    for attempts in [0, -1, i64::MIN] {
        assert_eq!(between(attempts), (500, 1_000), "{attempts}");
    }
}

#[test]
fn what_the_other_side_asks_for_is_kept_up_to_an_hour_and_is_no_hot_loop() {
    let pace = Pace {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
    };
    let pause = |after: u64, chance| {
        let after = Some(Duration::from_secs(after));
        pace.pause(9, after, chance).as_secs()
    };
    assert_eq!(
        (pause(0, 1.0), pause(100, 0.0), pause(100, 1.0)),
        (60, 100, 110)
    );
    assert_eq!((pause(u64::MAX, 0.0), pause(u64::MAX, 1.0)), (3_600, 3_960));
    let at_once = pace.pause(1, Some(Duration::ZERO), 0.0);
    assert_eq!(at_once.as_millis(), 500, "at once is not at once");
}

/// Starts one after the other while both wait, `room` at a time: how many of the others there are among so many.
fn others(room: usize, rounds: usize) -> usize {
    let mut turns = Turns::default();
    let mut others = 0;
    for _ in 0..rounds {
        others += turns.kept(room);
        turns.started(room);
    }
    others
}

#[test]
fn one_start_in_four_is_anothers_however_many_are_started_at_a_time() {
    for (room, rounds) in [(1, 400), (2, 200), (3, 400), (4, 100), (7, 400), (32, 10)] {
        let starts = room * rounds;
        assert_eq!(others(room, rounds), starts / SHARE, "{room} at a time");
    }
    assert_eq!(Turns::default().kept(usize::MAX), usize::MAX / SHARE);
}

#[test]
fn words_from_outside_are_cut_and_play_no_tricks() {
    assert_eq!(plain("503: Zoë is away"), "503: Zoë is away");
    assert_eq!(plain("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    assert_eq!(plain("\u{202e}x\0"), "\\u{202e}x\\u{0}");
    let cut = plain(&"é".repeat(301));
    assert_eq!((cut.chars().count(), cut.ends_with('…')), (301, true));
    assert_eq!(plain(&"é".repeat(300)), "é".repeat(300));
}
