//! Web audio players.

use super::*;
use crate::hal::DecoderCommand;
use crate::limits::WEB_AUDIO_PLAYERS_MAX;
use crate::message::audio::{self, PcmFormat, PlayerId, PlayerState, SampleFormat};
use crate::session::FIRST_PLAYER;

const FORMAT: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };

fn create() -> Command<'static> {
    Command::Audio(audio::Command::Create { format: FORMAT })
}

fn play(player: PlayerId) -> Command<'static> {
    Command::Audio(audio::Command::Play { player })
}

fn destroy(player: PlayerId) -> Command<'static> {
    Command::Audio(audio::Command::Destroy { player })
}

/// The number of the decoder of a player.
fn decoder_of(player: PlayerId) -> u16 {
    FIRST_PLAYER + player.index
}

fn closed(player: PlayerId) -> Input<'static> {
    Input::Decoder(DecoderEvent::Closed { session: decoder_of(player) })
}

fn ended(client: ClientId, player: PlayerId) -> Action {
    event(client, Event::Audio(audio::Event::Ended { player }))
}

impl Stage {
    /// Ends the one order that was given, and gives what follows.
    fn carry_out(&mut self, given: &[Action]) -> Vec<Action> {
        let [Action::Command { session, token, .. }] = given[..] else { panic!("{given:?}") };
        self.take(Input::Decoder(DecoderEvent::Completed { session, token, result: Ok(()) }))
    }

    fn player(&mut self, client: ClientId) -> PlayerId {
        let asked = self.call(client, create());
        let [Action::Open { session }] = asked[..] else { panic!("{asked:?}") };
        let mut steps = self.take(Input::Opened { session, result: Ok(()) });
        for _ in 0..3 {
            steps = self.carry_out(&steps);
        }
        let [Action::Reply { response: Response::Player { player, format: FORMAT }, .. }] = steps[..] else {
            panic!("{steps:?}")
        };
        player
    }
}

/// SM-32. Its decoder gets one stream of sound from the player's own slot, and no decoder of the box is counted.
#[test]
fn a_player_is_a_decoder_with_one_stream_and_is_answered_when_its_pipeline_is_there() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    let session = FIRST_PLAYER;
    assert_eq!(stage.call(client, create()), [Action::Open { session }]);
    let opened = stage.take(Input::Opened { session, result: Ok(()) });
    let slot = FIRST_PLAYER as u8;
    let load = DecoderCommand::Load { live: false };
    assert_eq!(opened, [Action::Command { session, slot, token: 1, order: load }]);
    let attach = DecoderCommand::Attach { source: SOURCE, stream: MediaKind::Audio };
    let loaded = stage.carry_out(&opened);
    assert_eq!(loaded, [Action::Command { session, slot, token: 2, order: attach }]);
    assert_eq!(stage.server.player_format(session), Some(FORMAT));
    let attached = stage.carry_out(&loaded);
    assert_eq!(attached, [Action::Command { session, slot, token: 3, order: DecoderCommand::AllAttached }]);
    let player = PlayerId { index: 0, generation: 1 };
    assert_eq!(stage.carry_out(&attached), [answer(client, Response::Player { player, format: FORMAT })]);
    assert_eq!((stage.server.players(), stage.server.sessions()), (1, 0));
}

/// SM-24, SM-32
#[test]
fn outside_active_there_is_no_player() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    assert_eq!(stage.call(client, create()), [refuse(client, Refusal::NotActive)]);
}

/// SM-33, Field failure 62: the second is as good as the first.
#[test]
fn no_more_players_than_the_app_may_have() {
    let mut stage = Stage::active();
    let (one, other) = (stage.greeted(), stage.greeted());
    let (first, second) = (stage.player(one), stage.player(other));
    let full = Refusal::Full { table: TableName::WebAudioPlayers, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(one, create()), [refuse(one, full)]);
    assert_eq!(stage.call(one, destroy(first)), [Action::Close { session: decoder_of(first) }]);
    assert_eq!(stage.call(other, create()), [refuse(other, full)], "it has not let go yet");
    assert_eq!(stage.take(closed(first)), [answer(one, Response::Done)]);
    assert_ne!(stage.player(one), first, "a new stay in the same place");
    assert_eq!(stage.call(other, play(second)).len(), 1);
}

/// SM-07, SM-33, Field failure I
#[test]
fn a_configuration_with_more_players_than_places_is_refused() {
    let mut stage = Stage::started();
    let mut too_many = configuration(TargetState::Active);
    too_many.resources.max_web_audio_players = WEB_AUDIO_PLAYERS_MAX as u8 + 1;
    let refused = stage.ask_link(link::Command::SetConfiguration(too_many));
    assert_eq!(refused, [reply(Err(link::Refusal::Configuration))]);
}

#[test]
fn an_app_that_may_have_no_player_is_told_so() {
    let mut stage = Stage::started();
    let mut none = configuration(TargetState::Active);
    none.resources.max_web_audio_players = 0;
    stage.ask_link(link::Command::SetConfiguration(none));
    stage.take(Input::Bound(Ok(())));
    stage.take(Input::Allocated(Ok(())));
    let client = stage.greeted();
    let full = Refusal::Full { table: TableName::WebAudioPlayers, capacity: 0, in_use: 0 };
    assert_eq!(stage.call(client, create()), [refuse(client, full)]);
}

#[test]
fn a_form_that_no_player_takes_is_refused() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    let silent = PcmFormat { channels: 0, ..FORMAT };
    let asked = stage.call(client, Command::Audio(audio::Command::Create { format: silent }));
    assert_eq!(asked, [refuse(client, Refusal::UnsupportedFormat)]);
}

/// SM-35, Field failure F
#[test]
fn a_player_of_another_connection_is_unknown() {
    let mut stage = Stage::active();
    let (one, other) = (stage.greeted(), stage.greeted());
    let player = stage.player(one);
    for command in [play(player), destroy(player), Command::Audio(audio::Command::GetPlayed { player })] {
        assert_eq!(stage.call(other, command), [refuse(other, Refusal::UnknownPlayer)]);
    }
}

/// SM-30: the answer comes when the decoder has done it; what it does is told when the decoder says so.
#[test]
fn a_player_that_is_told_to_play_before_there_is_a_frame_plays_when_one_comes() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    let player = stage.player(client);
    let given = stage.call(client, play(player));
    assert_eq!(stage.carry_out(&given), [answer(client, Response::Done)]);
    let session = decoder_of(player);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::State { session, state: PlaybackState::Buffering })), []);
    let told = stage.take(Input::Decoder(DecoderEvent::State { session, state: PlaybackState::Playing }));
    let state = PlayerState::Playing;
    assert_eq!(told, [event(client, Event::Audio(audio::Event::State { player, state }))]);
}

#[test]
fn a_volume_is_remembered_and_one_that_is_too_loud_refused() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    let player = stage.player(client);
    let set = |volume_permille| Command::Audio(audio::Command::SetVolume { player, volume_permille });
    assert_eq!(stage.call(client, set(2001)), [refuse(client, Refusal::OutOfRange)]);
    let given = stage.call(client, set(300));
    stage.carry_out(&given);
    let volume = stage.call(client, Command::Audio(audio::Command::GetVolume { player }));
    assert_eq!(volume, [answer(client, Response::Volume { volume_permille: 300 })]);
}

/// SM-18, SM-29, SM-32, Field failure N: each player's end is told to its client.
#[test]
fn set_inactive_closes_players_with_playback_and_frees_the_memory_behind_the_last() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let player = stage.player(client);
    let asked = stage.set(TargetState::Inactive);
    let closings = [Action::Close { session: session.index }, Action::Close { session: decoder_of(player) }];
    assert_eq!(asked, [reply(Ok(())), closings[0], closings[1]]);
    let session_ended = event(client, Event::SessionEnded { session });
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index })), [session_ended]);
    let told = clients(1, AppState::Inactive);
    let inactive = event(client, Event::ApplicationState(AppState::Inactive));
    let done = [Action::Free, state(ServerState::Inactive), told, ended(client, player), inactive];
    assert_eq!(stage.take(closed(player)), done);
    assert_eq!(stage.server.players(), 0);
}

/// SM-20
#[test]
fn not_running_closes_players_first() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    let player = stage.player(client);
    assert_eq!(stage.set(TargetState::NotRunning), [reply(Ok(())), Action::Close { session: decoder_of(player) }]);
    let actions = stage.take(closed(player));
    assert_eq!(actions[..2], [Action::Free, ended(client, player)]);
    assert_eq!(actions.last(), Some(&Action::Exit { status: 0 }));
}

/// SM-18, SM-30
#[test]
fn a_player_that_is_being_made_is_answered_and_closed_when_the_app_leaves_active() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, create());
    stage.take(Input::Opened { session: FIRST_PLAYER, result: Ok(()) });
    let asked = stage.set(TargetState::Inactive);
    assert!(asked.contains(&refuse(client, Refusal::Interrupted)), "{asked:?}");
    let player = PlayerId { index: 0, generation: 1 };
    let after = stage.take(closed(player));
    assert!(!after.contains(&ended(client, player)), "nobody has heard of it: {after:?}");
    assert!(after.contains(&state(ServerState::Inactive)));
}

/// SM-25: the answer comes behind the last end.
#[test]
fn memory_that_is_given_back_ends_sessions_and_players_and_nobody_elses() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let player = stage.player(client);
    let other = stage.greeted();
    let others = stage.player(other);
    let closings = [Action::Close { session: session.index }, Action::Close { session: decoder_of(player) }];
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), closings);
    stage.take(closed(player));
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index }));
    assert_eq!(actions[0], answer(client, Response::Done));
    assert_eq!((stage.server.players(), stage.server.sessions()), (1, 0));
    assert_eq!(stage.call(other, play(others)).len(), 1);
}

/// SM-34, SM-35
#[test]
fn a_client_that_goes_takes_its_players_with_it() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    let player = stage.player(client);
    let gone = stage.take(Input::ClientClosed { client });
    assert!(gone.contains(&Action::Close { session: decoder_of(player) }), "{gone:?}");
    stage.take(closed(player));
    assert_eq!(stage.server.players(), 0);
    let other = stage.greeted();
    stage.player(other);
}

#[test]
fn a_decoder_that_cannot_be_had_is_refused_and_takes_no_share() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    for _ in 0..3 {
        stage.call(client, create());
        let result = Err(ErrorKind::Exhausted);
        let refused = stage.take(Input::Opened { session: FIRST_PLAYER, result });
        assert_eq!(refused, [refuse(client, Refusal::Failed(PlaybackError::Decoder))]);
    }
    assert_eq!(stage.server.players(), 0);
}

/// SM-18, SM-21
#[test]
fn a_player_whose_decoder_does_not_let_go_ends_the_server() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.player(client);
    stage.set(TargetState::Inactive);
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(DECODER_TIMEOUT)));
    let actions = stage.pass(DECODER_TIMEOUT);
    assert_eq!(actions.last(), Some(&Action::Exit { status: 1 }));
    assert!(actions.contains(&last_word(ServerState::Error, Reason::DecoderStuck)));
}

#[test]
fn what_a_decoder_says_of_a_player_that_is_not_there_is_counted_and_ignored() {
    let mut stage = Stage::active();
    for session in [FIRST_PLAYER, FIRST_PLAYER + 1, u16::MAX] {
        let before = stage.server.stale();
        assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session })), []);
        assert_eq!(stage.take(Input::Opened { session, result: Ok(()) }), []);
        assert_eq!(stage.server.stale(), before + 2);
    }
}

/// Field failure 11
#[test]
fn a_ping_is_answered_when_a_players_worker_has_shown_that_it_gets_on() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.player(client);
    let asked = stage.ask_link(link::Command::Ping);
    assert!(matches!(asked[..], [Action::Command { order: Order::Beat, .. }]), "{asked:?}");
    assert_eq!(stage.carry_out(&asked), [reply(Ok(()))]);
}
