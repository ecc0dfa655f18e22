//! How things are, as a table for people and as JSON for programs.

use greenroom_core::message::control::{AppStatus, BoxStatus, Event, LastRefusal};
use greenroom_hal_mock::replay::Outcome;
use serde_json::{Value, json};

use super::memory::Memory;
use crate::names;

/// Every app and the box, for people.
pub fn text(apps: &[AppStatus], status: &BoxStatus) -> String {
    let table = (!apps.is_empty()).then(|| table(apps));
    table.into_iter().chain(footer(apps, status)).collect::<Vec<_>>().join("\n")
}

/// Every app and the box, for programs.
pub fn json(apps: &[AppStatus], status: &BoxStatus) -> Value {
    json!({"apps": apps.iter().map(app_json).collect::<Vec<_>>(), "box": box_json(status)})
}

/// What a replay has shown, as one value.
pub fn replay_json(outcome: &Outcome) -> Value {
    json!({
        "machine": outcome.origin.to_string(),
        "segments": outcome.segments,
        "gaps": outcome.gaps,
        "inputs": outcome.inputs,
        "states_compared": outcome.compared,
        "inputs_since_compared": outcome.inputs_since,
        "from_ms": outcome.from.as_millis(),
        "to_ms": outcome.to.as_millis(),
        "checksum": format!("{:08x}", outcome.checksum),
        "state": outcome.state,
    })
}

/// An event, for people.
pub fn event_text(event: &Event) -> String {
    match event {
        Event::StateChanged { app, state, reason } => {
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{app} {}{why}", names::state(*state))
        }
        Event::Missed(events) => format!("{events} event(s) missed; 'greenroomctl list' shows how things are"),
        _ => "an event that this release does not know".to_owned(),
    }
}

/// An event, for programs.
pub fn event_json(event: &Event) -> Value {
    match event {
        Event::StateChanged { app, state, reason } => json!({
            "event": "state-changed",
            "app": app.as_str(),
            "state": names::state(*state),
            "reason": reason.map(|reason| format!("{reason:?}")),
            "explanation": reason.map(|reason| reason.to_string()),
        }),
        Event::Missed(events) => json!({"event": "missed", "events": events}),
        _ => json!({"event": "unknown"}),
    }
}

fn table(apps: &[AppStatus]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "APP", "STATE", "WANTED", "PID", "MEMORY", "UP", "CLIENTS", "RESTARTS", "REFUSED", "DECODERS", "SOCKET",
    ]);
    for status in apps {
        table.add_row([
            status.app.as_str(),
            status.state.map_or("starting", names::state),
            names::state(status.wanted.into()),
            &status.process_id.to_string(),
            &Memory::of(status.process_id).text(),
            &uptime(status.uptime_s),
            &status.clients.to_string(),
            &status.restarts.to_string(),
            &status.refusals.to_string(),
            &format!("{} of {}", status.decoders, status.resources.max_playback_sessions),
            status.socket.as_str(),
        ]);
    }
    table.to_string()
}

fn footer(apps: &[AppStatus], status: &BoxStatus) -> Vec<String> {
    let mut lines = vec![format!(
        "{} of {} decoder(s) free{}; {} of {} apps, {} spare server(s); {} request(s) refused, {} late message(s) since the \
         start",
        status.decoders_free,
        status.decoders,
        holders(apps),
        apps.len(),
        status.apps_max,
        status.spares,
        status.refusals,
        status.stale
    )];
    lines.extend(status.last_refusal.as_ref().map(|last| format!("refused last: {}", refusal_text(last))));
    lines
}

fn holders(apps: &[AppStatus]) -> String {
    let holders = apps.iter().filter(|status| status.decoders > 0);
    let holders: Vec<String> = holders.map(|status| format!("{} has {}", status.app, status.decoders)).collect();
    if holders.is_empty() { String::new() } else { format!(" ({})", holders.join(", ")) }
}

fn refusal_text(last: &LastRefusal) -> String {
    match &last.app {
        Some(app) => format!("app {app}: {}", last.refusal),
        None => last.refusal.to_string(),
    }
}

/// The two largest units, as people say it.
fn uptime(seconds: u32) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

fn app_json(status: &AppStatus) -> Value {
    let memory = Memory::of(status.process_id);
    json!({
        "app": status.app.as_str(),
        "state": status.state.map(names::state),
        "wanted": names::state(status.wanted.into()),
        "process_id": status.process_id,
        "pss_kib": memory.pss_kib,
        "rss_kib": memory.rss_kib,
        "uptime_s": status.uptime_s,
        "is_restarting": status.is_restarting,
        "clients": status.clients,
        "restarts": status.restarts,
        "refusals": status.refusals,
        "decoders": status.decoders,
        "max_playback_sessions": status.resources.max_playback_sessions,
        "max_web_audio_players": status.resources.max_web_audio_players,
        "max_key_sessions": status.resources.max_key_sessions,
        "socket": status.socket.as_str(),
    })
}

fn box_json(status: &BoxStatus) -> Value {
    let last = status.last_refusal.as_ref().map(|last| {
        json!({
            "app": last.app.as_ref().map(|app| app.as_str()),
            "refusal": format!("{:?}", last.refusal),
            "explanation": last.refusal.to_string(),
        })
    });
    json!({
        "decoders": status.decoders,
        "decoders_free": status.decoders_free,
        "apps_max": status.apps_max,
        "spares": status.spares,
        "refusals": status.refusals,
        "last_refusal": last,
        "stale": status.stale,
    })
}

#[cfg(test)]
mod tests {
    use greenroom_core::message::control::Refusal;
    use greenroom_core::message::{AppId, Resources, ServerState, SocketPath, TargetState};

    use super::*;

    fn app() -> AppStatus {
        AppStatus {
            app: AppId::new("tv").unwrap(),
            state: Some(ServerState::Active),
            wanted: TargetState::Active,
            socket: SocketPath::try_from("/run/greenroom/tv.sock").unwrap(),
            process_id: u32::MAX,
            resources: Resources::default(),
            decoders: 1,
            restarts: 3,
            clients: 2,
            refusals: 4,
            uptime_s: 90_061,
            is_restarting: false,
        }
    }

    fn the_box(last_refusal: Option<LastRefusal>) -> BoxStatus {
        let (decoders, decoders_free, apps_max) = (2, 1, 16);
        BoxStatus { decoders, decoders_free, apps_max, refusals: 4, stale: 5, spares: 1, last_refusal }
    }

    #[test]
    fn a_person_sees_who_holds_what_and_why_a_request_was_refused_last() {
        let last = LastRefusal { app: AppId::new("tv").ok(), refusal: Refusal::Busy };
        let shown = text(&[app()], &the_box(Some(last)));
        for words in ["1 d 1 h", "1 of 2 decoder(s) free (tv has 1)", "refused last: app tv: another request", " - "] {
            assert!(shown.contains(words), "no '{words}' in\n{shown}");
        }
        assert!(!text(&[], &the_box(None)).contains("APP"));
    }

    #[test]
    fn a_program_gets_every_value_by_its_name() {
        let last = LastRefusal { app: None, refusal: Refusal::BoxDenied { user_id: 7 } };
        let value = json(&[app()], &the_box(Some(last)));
        assert_eq!((&value["apps"][0]["clients"], &value["apps"][0]["uptime_s"]), (&json!(2), &json!(90_061)));
        assert_eq!((&value["apps"][0]["refusals"], &value["apps"][0]["pss_kib"]), (&json!(4), &Value::Null));
        assert_eq!(value["box"]["last_refusal"]["refusal"], json!("BoxDenied { user_id: 7 }"));
    }

    #[test]
    fn a_time_is_said_in_its_two_largest_units() {
        for (seconds, said) in [(59, "59 s"), (61, "1 min 1 s"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(uptime(seconds), said);
        }
    }
}
