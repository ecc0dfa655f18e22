use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Everything that can be in a diagram.
fn everything() -> Diagram {
    let mut diagram = Diagram::new("Not Running to Inactive");
    let platform = diagram.participant("ApplicationManager");
    let manager = diagram.participant("ServerManager");
    let server = diagram.participant("SessionServer(app1)");
    diagram.call(ms(0), platform, manager, "initiate(app1, Inactive)");
    diagram.note(manager, manager, "no socket was named");
    diagram.create(ms(0), manager, server, "spawn");
    diagram.work(ms(0), manager, "start the READY timer, 1 s");
    diagram.answer(ms(0), manager, platform, "OK");
    diagram.open(Frame::Alt, "started");
    diagram.notify(ms(12), server, manager, "state_changed(Uninitialized)");
    diagram.notify(ms(12), manager, platform, "state_changed(app1, Uninitialized)");
    diagram.open(Frame::Opt, "it lets go at once");
    diagram.end(ms(20), server, server, "exit the process");
    diagram.close();
    diagram.otherwise("READY timer expired");
    diagram.create(ms(30), manager, server, "spawn");
    diagram.end(ms(1030), manager, server, "SIGKILL");
    diagram.notify(
        ms(1030),
        manager,
        platform,
        "state_changed(app1, Error): its session server was not up in time and was killed",
    );
    diagram.close();
    diagram.reference(platform, manager, "Inactive to Not Running");
    diagram
}

#[test]
fn in_text_steps_are_numbered_and_stand_between_their_lifelines() {
    let text = everything().to_text();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/diagram/tests/everything.txt");
    if std::env::var_os("UPDATE_DIAGRAMS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == text, "{text}");
}

#[test]
fn a_moment_is_shown_once() {
    let text = everything().to_text();
    assert_eq!(text.matches("0.012 s").count(), 1);
    assert_eq!(text.matches("1.030 s").count(), 1);
}

#[test]
fn mermaid_gets_its_own_arrows_and_creates_a_participant_once() {
    let mermaid = everything().to_mermaid();
    assert!(mermaid.contains("P1->>P2: initiate(app1, Inactive) (0.000 s)\n"));
    assert!(mermaid.contains("P2-->>P1: OK\n"));
    assert!(mermaid.contains("P3-)P2: state_changed(Uninitialized) (0.012 s)\n"));
    assert!(mermaid.contains("P2-xP3: SIGKILL (1.030 s)\n"));
    assert_eq!(mermaid.matches("create participant P3 as SessionServer(app1)\n").count(), 1);
    assert_eq!(mermaid.lines().filter(|line| line.trim() == "end").count(), 2);
}

#[test]
fn plantuml_gets_the_notation_of_the_specification() {
    let plantuml = everything().to_plantuml();
    assert!(plantuml.starts_with("@startuml\n"));
    assert!(plantuml.contains("P1 -> P2 : initiate(app1, Inactive)\n"));
    assert!(plantuml.contains("P2 -> P3 ** : spawn\n"));
    assert!(plantuml.contains("P3 -// P2 : state_changed(Uninitialized)\n"));
    assert!(plantuml.contains("P3 -> P3 !! : exit the process\n"));
    assert!(plantuml.contains("alt started\n"));
    assert!(plantuml.contains("else READY timer expired\n"));
    assert!(plantuml.ends_with("@enduml\n"));
}

#[test]
fn the_svg_has_every_name_and_step() {
    let diagram = everything();
    let svg = diagram.to_svg();
    for name in ["ApplicationManager", "ServerManager", "SessionServer(app1)"] {
        assert!(svg.contains(name), "{name}");
    }
    assert_eq!(svg.matches("class=\"number\"").count(), diagram.steps());
    assert_eq!(svg.matches("class=\"cross\"").count(), 2);
    assert_eq!(svg.matches("class=\"frame\"").count(), 2);
}

/// What an app or a peer chose as a name or a text becomes no syntax.
#[test]
fn no_text_is_taken_for_syntax() {
    let hostile =
        "</text><script>x</script> & \"q\"; #1 end\nP1->>P2: no \u{1b}[31m \u{202e} ** // [[x]] \\n %date% $x";
    let mut diagram = Diagram::new(hostile);
    let one = diagram.participant(hostile);
    let other = diagram.participant("other");
    diagram.call(ms(0), one, other, hostile);
    diagram.note(one, other, hostile);
    diagram.open(Frame::Alt, hostile);
    diagram.close();

    let svg = diagram.to_svg();
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
    for text in [svg, diagram.to_text(), diagram.to_mermaid(), diagram.to_plantuml()] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
    }
    let mermaid = diagram.to_mermaid();
    assert_eq!(mermaid.lines().count(), 9, "{mermaid}");
    assert!(!mermaid.contains(" #1") && !mermaid.contains("\"q\""));
    let plantuml = diagram.to_plantuml();
    assert!(!plantuml.contains("[[") && !plantuml.contains("\\n") && !plantuml.contains("**"), "{plantuml}");
}

#[test]
fn a_diagram_without_anything_is_drawn_too() {
    let diagram = Diagram::new("");
    for drawn in [diagram.to_text(), diagram.to_svg(), diagram.to_mermaid(), diagram.to_plantuml()] {
        assert!(!drawn.is_empty());
    }
    let mut open = Diagram::new("open");
    let only = open.participant("only");
    open.open(Frame::Loop, "for ever");
    open.work(ms(0), only, "work");
    assert_eq!(open.to_plantuml().lines().filter(|line| *line == "end").count(), 1);
    assert!(open.to_svg().contains("class=\"frame\""));
}

#[test]
fn a_long_text_is_broken_at_blanks() {
    let mut diagram = Diagram::new("long");
    let one = diagram.participant("one");
    let other = diagram.participant("other");
    let text = "the socket's path is not writable; change its directory's mode, or choose another --socket";
    diagram.notify(ms(0), one, other, text);
    diagram.work(ms(0), other, text);
    let drawn = diagram.to_text();
    assert!(drawn.lines().all(|line| line.chars().count() < 140), "{drawn}");
    let words = |text: &str| text.split_whitespace().filter(|word| word.is_ascii()).count();
    assert!(words(&drawn) > 2 * words(text), "{drawn}");
}
