//! Diagrams of what was recorded.

use greenroom_core::message::TargetState;
use greenroom_core::trace::file::File;
use greenroom_hal_mock::Diagram;
use greenroom_hal_mock::sequence::trace::{Story, sequence_of};

use crate::stage::{Fate, Stage};

/// Who said what to whom.
fn said(diagram: &Diagram) -> Vec<String> {
    let line = |step: &greenroom_hal_mock::diagram::Step| {
        format!("{} {:?} {}: {}", diagram.name(step.from), step.kind, diagram.name(step.to), step.what)
    };
    diagram.iter().map(line).collect()
}

fn drawn(files: &[File<'_>]) -> Diagram {
    sequence_of(files, &Story::default()).unwrap().finish()
}

/// Two apps come, switch and go, and one does not start.
fn play(stage: &mut Stage) {
    stage.initiate("app1", TargetState::Active).unwrap();
    stage.initiate("app2", TargetState::Inactive).unwrap();
    stage.change("app2", TargetState::Active).unwrap_err();
    stage.change("app1", TargetState::Inactive).unwrap();
    stage.change("app2", TargetState::Active).unwrap();
    stage.next_server(Fate::FailsToInitialize);
    stage.initiate("app3", TargetState::Inactive).unwrap();
    stage.change("app1", TargetState::NotRunning).unwrap();
    stage.change("app2", TargetState::NotRunning).unwrap();
}

#[test]
fn what_was_recorded_gives_the_diagram_of_the_run() {
    let mut stage = Stage::new("run");
    play(&mut stage);
    let bytes = stage.trace_file(None);
    let recorded = drawn(&[File::parse(&bytes).unwrap()]);
    let run = stage.finish();
    let (recorded, run) = (said(&recorded), said(&run));
    let differs = run.iter().zip(&recorded).position(|(run, recorded)| run != recorded);
    assert_eq!((differs, run.len()), (None, recorded.len()), "{run:#?}\n{recorded:#?}");
}

/// The clock of a trace is coarse, and still nothing is answered before it is asked.
#[test]
fn every_dialogue_keeps_its_order_when_the_clock_tells_none() {
    let mut stage = Stage::new("run");
    stage.stop_the_clock();
    play(&mut stage);
    let bytes = stage.trace_file(None);
    let recorded = said(&drawn(&[File::parse(&bytes).unwrap()]));
    let run = said(&stage.finish());
    for who in ["ApplicationManager", "SessionServer(app1)", "SessionServer(app2)"] {
        let with_manager = |line: &&String| line.contains(who) && line.contains("ServerManager");
        let dialogue = |lines: &[String]| lines.iter().filter(with_manager).cloned().collect::<Vec<_>>();
        assert_eq!(dialogue(&recorded), dialogue(&run), "{who}");
    }
}

/// A file of one process is enough for its part of the diagram.
#[test]
fn what_one_process_recorded_gives_its_part_of_the_diagram() {
    let mut stage = Stage::new("run");
    play(&mut stage);
    let bytes = stage.trace_file(None);
    let all = File::parse(&bytes).unwrap();
    let whole = said(&drawn(&[all]));
    for part in all.parts() {
        let bytes = stage.trace_file(Some(part.origin.process_id));
        let alone = drawn(&[File::parse(&bytes).unwrap()]);
        let alone = said(&alone);
        assert!(!alone.is_empty());
        for line in alone.iter().filter(|line| line.contains("set_state(")) {
            assert!(whole.contains(line), "{line} in {whole:#?}");
        }
    }
}

/// What was saved twice is drawn once.
#[test]
fn a_later_file_goes_on_where_an_earlier_one_ends() {
    let mut stage = Stage::new("run");
    stage.initiate("app1", TargetState::Active).unwrap();
    let early = stage.trace_file(None);
    stage.change("app1", TargetState::Inactive).unwrap();
    let late = stage.trace_file(None);
    let [early, late] = [&early, &late].map(|bytes| File::parse(bytes).unwrap());
    assert_eq!(said(&drawn(&[early, late])), said(&drawn(&[late])));
    assert!(said(&drawn(&[early])).len() < said(&drawn(&[late])).len());
}

/// However often an app comes and goes, its diagram is as wide as what is there at a time.
#[test]
fn an_app_that_connects_again_and_again_is_one_participant() {
    let mut stage = Stage::new("run");
    stage.initiate("app1", TargetState::Inactive).unwrap();
    let socket = stage.connection_info("app1");
    for _ in 0..20 {
        stage.start_app("app1", "Inactive", &socket);
        stage.exit_app("app1");
    }
    let bytes = stage.trace_file(None);
    let lines = said(&drawn(&[File::parse(&bytes).unwrap()]));
    let connects = lines.iter().filter(|line| line.ends_with("SessionServer(app1): connect"));
    assert!(connects.clone().all(|line| line.starts_with("Client(app1) Call")), "{lines:#?}");
    assert_eq!(connects.count(), 20);
}
