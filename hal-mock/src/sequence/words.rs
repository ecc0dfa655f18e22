//! How messages are called in a diagram: as in the specification, where that has them.

use std::fmt::Debug;

use greenroom_core::hal::{ExitStatus, Signal};
use greenroom_core::message::link::{self, Configuration};
use greenroom_core::message::playback::{self, Answer, Command, Event, Message};
use greenroom_core::message::{LogLevels, Reason, Resources, ServerState, TargetState, audio, control, keys};
use greenroom_core::session::Response;

/// The name of a variant, as a function would be called.
pub(super) fn verb(variant: &impl Debug) -> String {
    let debug = format!("{variant:?}");
    let name = debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut verb = String::new();
    for (place, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 {
            verb.push('_');
        }
        verb.push(c.to_ascii_lowercase());
    }
    verb
}

pub(super) fn control_command(command: &control::Command<'_>) -> String {
    match command {
        control::Command::Initiate { app, state, socket: "" } => format!("initiate_application({app}, {state:?})"),
        control::Command::Initiate { app, state, socket } => {
            format!("initiate_application({app}, {state:?}, socket {socket})")
        }
        control::Command::ChangeState { app, state } => format!("change_session_server_state({app}, {state:?})"),
        control::Command::ConnectionInfo { app } => format!("get_app_connection_info({app})"),
        control::Command::SetLogLevel { component, level } => format!("set_log_level({component:?}, {level:?})"),
        other => verb(other),
    }
}

pub(super) fn control_result(result: &Result<control::Answer, control::Refusal>) -> String {
    match result {
        Ok(control::Answer::ConnectionInfo { socket }) => socket.to_string(),
        Ok(control::Answer::App { status, .. }) => format!("app {}", status.app),
        Ok(control::Answer::Box(_)) => "box".to_owned(),
        Ok(_) => "OK".to_owned(),
        Err(refusal) => format!("ERROR: {refusal}"),
    }
}

pub(super) fn state_changed(app: Option<&str>, state: ServerState, reason: Option<Reason>) -> String {
    let app = app.map(|app| format!("{app}, ")).unwrap_or_default();
    // That it was asked for can be seen.
    let reason = reason.filter(|reason| *reason != Reason::Asked).map(|reason| format!(": {reason}"));
    format!("state_changed({app}{state:?}){}", reason.unwrap_or_default())
}

pub(super) fn set_configuration(socket: &str, state: TargetState, may: &Resources, levels: &LogLevels) -> String {
    let Resources { max_playback_sessions, max_web_audio_players, max_key_sessions } = may;
    format!(
        "set_configuration({socket}, {state:?}, playback={max_playback_sessions}, web_audio={max_web_audio_players}, \
         keys={max_key_sessions}, log={:?})",
        levels.default
    )
}

pub(super) fn link_command(command: &link::Command<'_>) -> String {
    match command {
        link::Command::SetConfiguration(Configuration { socket, state, resources, log_levels, .. }) => {
            set_configuration(socket, *state, resources, log_levels)
        }
        link::Command::SetState(state) => set_state(*state),
        other => verb(other),
    }
}

pub(super) fn set_state(state: TargetState) -> String {
    format!("set_state({state:?})")
}

pub(super) fn link_result(result: &Result<(), link::Refusal>) -> String {
    match result {
        Ok(()) => "OK".to_owned(),
        Err(refusal) => format!("ERROR: {refusal}"),
    }
}

pub(super) fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Terminate => "SIGTERM",
        Signal::Kill => "SIGKILL",
    }
}

pub(super) fn exit(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited(status) => format!("exit status {status}"),
        ExitStatus::Killed(signal) => format!("killed by signal {signal}"),
    }
}

/// A call to a session server.
pub(super) fn call(command: &Command<'_>) -> String {
    match command {
        Command::Audio(command) => audio_call(command),
        Command::Keys(command) => verb(command),
        Command::AttachSource { source, .. } => format!("attach_source({:?})", source.codec),
        Command::Load { .. } => "load".to_owned(),
        other => verb(other),
    }
}

fn audio_call(command: &audio::Command) -> String {
    match command {
        audio::Command::Create { .. } => "create_web_audio_player".to_owned(),
        other => format!("web_audio_{}", verb(other)),
    }
}

/// An answer as the session server's machine gives it; the platform adds the rest.
pub(super) fn response(response: &Response) -> String {
    match response {
        Response::Refused(refusal) => format!("ERROR: {refusal}"),
        Response::Welcome { state } => format!("welcome({state:?})"),
        Response::Done => "OK".to_owned(),
        Response::SharedMemory { .. } => SHARED_MEMORY.to_owned(),
        Response::Session { slot: Some(_), .. } => format!("session, {SHARED_MEMORY}"),
        Response::KeySession { .. } => "key session".to_owned(),
        Response::Player { .. } => "web audio player".to_owned(),
        other => verb(other).replace('_', " "),
    }
}

const SHARED_MEMORY: &str = "descriptors of the shared memory";

/// The same answer as an app receives it.
pub(super) fn result(result: &Result<Answer, playback::Refusal>) -> String {
    match result {
        Err(refusal) => format!("ERROR: {refusal}"),
        Ok(answer) => answered(answer),
    }
}

pub(super) fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Welcome { state, .. } => format!("welcome({state:?})"),
        Answer::Done => "OK".to_owned(),
        Answer::SharedMemory { .. } => SHARED_MEMORY.to_owned(),
        Answer::SessionWithMemory { .. } => format!("session, {SHARED_MEMORY}"),
        Answer::Audio(audio::Answer::Player { .. }) => "web audio player".to_owned(),
        Answer::Audio(answer) => verb(answer).replace('_', " "),
        Answer::Keys(keys::Answer::KeySession { .. }) => "key session".to_owned(),
        other => verb(other).replace('_', " "),
    }
}

pub(super) fn event(event: &Event) -> String {
    match event {
        Event::ApplicationState(state) => format!("application_state_changed({state:?})"),
        Event::PlaybackState { state, .. } => format!("playback_state({state:?})"),
        Event::Failed { error, .. } => format!("failed: {error}"),
        Event::PictureSize { width, height, .. } => format!("picture_size({width} x {height})"),
        Event::Audio(event) => format!("web_audio_{}", verb(event)),
        Event::Keys(event) => format!("keys_{}", verb(event)),
        other => verb(other),
    }
}

pub(super) fn message(message: &Message<'_>) -> String {
    match message {
        Message::Reply { result: given, .. } => result(given),
        Message::Event(happened) => event(happened),
        Message::Text { .. } => "text".to_owned(),
        Message::Keys(notice) => verb(notice),
    }
}

/// What comes again and again, and says only that all is as it was.
pub(super) const fn is_chatter(event: &Event) -> bool {
    matches!(event, Event::Ping | Event::Position { .. } | Event::QualityOfService { .. } | Event::LogLevels(_))
}

/// What is asked again and again.
pub(super) const fn is_small_talk(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::Pong
            | Command::GetPosition { .. }
            | Command::GetStatistics { .. }
            | Command::Audio(audio::Command::GetPlayed { .. })
    )
}
