//! Every call in every situation of a connection.

use super::*;

/// What a call leads to, in one letter: `A`nswered, `o`rdered, opened or closed by a decoder, `p`arked until something else
/// has ended, not taken before that (`L`ater), or the refusal.
fn letter(stage: &mut Stage, client: ClientId, command: Command<'_>) -> char {
    let mut copy = Stage { server: copy_of(&stage.server), now: stage.now };
    if copy.server.handle(copy.now, Input::Call { client, sequence: 5, command }) == Err(NotTaken::Later) {
        return 'L';
    }
    match copy.drain()[..] {
        [Action::Reply { response: Response::Refused(refusal), .. }] => match refusal {
            Refusal::Malformed => 'm',
            Refusal::NotActive => 'n',
            Refusal::NoMemory => 'M',
            Refusal::UnknownSession => 'u',
            Refusal::UnknownSource => 's',
            Refusal::WrongState { .. } => 'w',
            other => panic!("{other:?} to {command:?}"),
        },
        [Action::Reply { .. }, ..] => 'A',
        [] => 'p',
        [Action::Command { .. } | Action::Open { .. } | Action::Close { .. }, ..] => 'o',
        ref other => panic!("{other:?} to {command:?}"),
    }
}

pub(super) fn every_command(session: SessionId) -> [Command<'static>; 23] {
    [
        Command::Hello,
        Command::GetSharedMemory,
        Command::ReleaseSharedMemory,
        Command::CreateSession,
        Command::DestroySession { session },
        Command::Load { session, live: false },
        Command::AttachSource { session, source: VIDEO },
        Command::AllSourcesAttached { session },
        Command::Play { session },
        Command::Pause { session },
        Command::Stop { session },
        Command::SetPosition { session, position_ns: 1, epoch: 1 },
        Command::Flush { session, source: SOURCE, reset_time: false, epoch: 1 },
        Command::SetVolume { session, volume_permille: 2000 },
        Command::SetMute { session, muted: true },
        Command::GetPosition { session },
        Command::SetDuration { session, duration_ns: 1 },
        Command::GetDuration { session },
        Command::GetStatistics { session, source: SOURCE },
        Command::SetPlaybackRate { session, rate_permille: 8000 },
        Command::SetVideoWindow { session, window: Window { x: 0, y: 0, width: 1, height: 1 } },
        Command::SetSourceMute { session, source: SOURCE, muted: true },
        Command::RemoveSource { session, source: SOURCE },
    ]
}

/// SM-23, SM-24, SM-30: every call in every situation of a connection gets one answer, or waits for one.
///
/// Field failure 55, 64, O
#[test]
fn every_call_has_its_answer_in_every_situation() {
    let row = |stage: &mut Stage, client| {
        String::from_iter(every_command(SESSION).map(|command| letter(stage, client, command)))
    };
    let mut inactive = Stage::inactive();
    let stranger = inactive.connect();
    assert_eq!(row(&mut inactive, stranger), "Ammmmmmmmmmmmmmmmmmmmmm", "before Hello");
    inactive.call(stranger, Command::Hello);
    assert_eq!(row(&mut inactive, stranger), "AnAnuuuuuuuuuuuuuuuuuuu", "while Inactive");

    let mut stage = Stage::active();
    let client = stage.greeted();
    assert_eq!(row(&mut stage, client), "AAAMuuuuuuuuuuuuuuuuuuu", "without memory");
    stage.call(client, Command::GetSharedMemory);
    assert_eq!(row(&mut stage, client), "AAAouuuuuuuuuuuuuuuuuuu", "with memory");
    stage.call(client, Command::CreateSession);
    assert_eq!(row(&mut stage, client), "AAooopLppppppppAAAspppp", "while the decoder is made");
    stage.take(Input::Opened { session: 0, result: Ok(()) });
    let session = SESSION;
    assert_eq!(row(&mut stage, client), "AAoooowwwwwwwooAAAswoww", "with a session");
    stage.ordered(client, Command::Load { session, live: false });
    assert_eq!(row(&mut stage, client), "AAooowowwwowwooAAAsooss", "loaded, no source");
    stage.call(client, Command::AttachSource { session, source: VIDEO });
    assert_eq!(row(&mut stage, client), "AAooopLppppppppAAAspppp", "while an order is under way");
    stage.call(client, Command::AllSourcesAttached { session });
    assert_eq!(row(&mut stage, client), "AAoooLLLLLLLLLLAAAsLLLL", "while one waits behind it");
    stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 2, result: Ok(()) }));
    stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 3, result: Ok(()) }));
    assert_eq!(row(&mut stage, client), "AAooowwwoooooooAAAAooow", "attached");
    stage.take(Input::Decoder(DecoderEvent::Failed { session: 0, error: PlaybackError::Decode }));
    assert_eq!(row(&mut stage, client), "AAooowwwwwwwwwwwwwwwwww", "failed");
    stage.call(client, Command::DestroySession { session });
    assert_eq!(row(&mut stage, client), "AApouuuuuuuuuuuuuuuuuuu", "while the decoder is closed");
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(row(&mut stage, client), "AAAouuuuuuuuuuuuuuuuuuu", "destroyed");
}
