//! Polls: counted once, closed by the picture, shown when they may be.

use serde_json::{Value as Json, json};

use super::house::*;

#[test]
fn a_poll_counts_each_voter_once_and_ends_with_one_result() {
    let mut house = House::with_picture(600);
    let poll = open(&mut house, json!({}));
    let vote = |house: &mut House, who: &str, options: Json| {
        house.ask(&viewer(who), "poll.vote", json!({"poll": poll, "options": options}))
    };
    vote(&mut house, "v1", json!(["1"])).unwrap();
    vote(&mut house, "v2", json!(["3"])).unwrap();
    assert_eq!(vote(&mut house, "v1", json!(["2"])).unwrap_err().code, "poll.voted");
    for wrong in [json!([]), json!(["1", "2"]), json!(["4"]), json!(["1", "1"])] {
        assert_eq!(vote(&mut house, "v3", wrong).unwrap_err().code, "poll.option");
    }
    house.later(600);
    let tally = house.last();
    assert_eq!(tally["kind"], "poll.tally");
    assert_eq!((votes(&tally["body"]), &tally["body"]["voters"]), (vec![1, 0, 1], &json!(2)));
    assert_eq!(tally["id"], *poll);

    house.ask(&host(), "poll.close", json!({"poll": poll})).unwrap();
    assert_eq!(house.last()["body"]["closing"], true);
    let closes = house.last()["bind"]["pts"].as_u64().unwrap();
    // Whose picture is not there yet may still vote; whose has passed may not.
    let late = json!({"op_id": "l", "kind": "poll.vote", "body": {"poll": poll, "options": ["1"]}, "seen": closes + 1});
    assert_eq!(house.send(&viewer("v4"), &late).unwrap_err().code, "poll.closed");
    let behind = json!({"op_id": "b", "kind": "poll.vote", "body": {"poll": poll, "options": ["1"]}, "seen": closes});
    house.later(1000);
    house.send(&viewer("v5"), &behind).unwrap();
    house.later(5000);
    let result = house.last();
    assert_eq!(
        (result["kind"].as_str(), votes(&result["body"])),
        (Some("poll.result"), vec![2, 0, 1])
    );
    assert_eq!(vote(&mut house, "v6", json!(["1"])).unwrap_err().code, "poll.closed");
    house.later(60_000);
    let results = house.events().iter().filter(|event| event.body.kind() == "poll.result").count();
    assert_eq!(results, 1);
}

#[test]
fn a_poll_closes_by_itself_also_without_a_picture() {
    for mut house in [House::new(), House::with_picture(600)] {
        open(&mut house, json!({"duration_ms": 5000}));
        let opened = house.last();
        let begins = opened["bind"]["pdt"].as_i64().unwrap_or(NOW);
        assert_eq!(opened["body"]["closes_at"], begins + 5000);
        house.later(4000);
        assert_eq!(house.last()["kind"], "poll.opened");
        house.later(2000);
        assert_eq!(house.last()["body"]["closing"], true);
        house.later(3000);
        assert_eq!(house.last()["kind"], "poll.result");
    }
}

#[test]
fn counts_are_hidden_until_they_may_be_seen() {
    for (results, shown) in
        [("always", [true, true]), ("after_close", [false, true]), ("on_reveal", [false, false])]
    {
        let mut house = House::with_picture(600);
        let poll = open(&mut house, json!({"results": results}));
        house.ask(&viewer("v1"), "poll.vote", json!({"poll": poll, "options": ["2"]})).unwrap();
        house.later(1000);
        let told = !votes(&house.last()["body"]).is_empty();
        house.ask(&host(), "poll.close", json!({"poll": poll})).unwrap();
        house.later(5000);
        let ended = house.last()["kind"] == "poll.result";
        assert_eq!([told, ended], shown, "{results}");
        if !ended {
            assert_eq!(votes(&house.room.state()["polls"][0]), [0_u64; 0]);
            house.ask(&host(), "poll.reveal", json!({"poll": poll})).unwrap();
            assert_eq!(votes(&house.last()["body"]), [0, 1, 0]);
            assert_eq!(house.last()["kind"], "poll.result");
        }
    }
}
