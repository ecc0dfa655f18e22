//! The states of a playback session, and what may be ordered and said in each.

use serde::{Deserialize, Serialize};

use crate::hal::DecoderCommand;
use crate::message::playback::{MediaKind, PlaybackError, PlaybackState};

/// What a decoder is ordered to do. Of a stream the machine says which ring of the slot it uses.
pub type Order = DecoderCommand<MediaKind>;

/// Where a playback session is.
///
/// ```text
/// Opening --opened--> Idle --Load--> Loaded --AllAttached--> SourcesAttached
///                      ^               |  (Attach: stays)          | the decoder says:
///                      |               |                           v
///                      +------Stop-----+---------------- Buffering <-> Paused <-> Playing
///                                      |                     ^                       |
///                                      |                     | SetPosition, Flush    v
///                                      +----Stop-------------+------------------ EndOfStream
///
/// (any) --the decoder failed or does not answer--> Failed
/// (any) --destroyed, client gone, memory given back, app Inactive--> Closing --closed--> (removed)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) enum State {
    Opening,
    Idle,
    Loaded,
    SourcesAttached,
    Buffering,
    Paused,
    Playing,
    EndOfStream,
    Failed,
    Closing,
}

impl From<State> for PlaybackState {
    fn from(state: State) -> Self {
        match state {
            State::Opening | State::Idle | State::Loaded | State::SourcesAttached | State::Closing => Self::Idle,
            State::Buffering => Self::Buffering,
            State::Paused => Self::Paused,
            State::Playing => Self::Playing,
            State::EndOfStream => Self::EndOfStream,
            State::Failed => Self::Failed,
        }
    }
}

/// Whether an order may be given in a state.
pub(super) const fn is_lawful(state: State, order: Order) -> bool {
    use {Order as O, State as S};
    match (state, order) {
        (S::Idle, O::Load { .. })
        | (S::Loaded, O::Attach { .. } | O::AllAttached)
        | (
            S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::Play | O::Pause | O::SetPosition { .. } | O::Flush { .. },
        )
        | (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, O::Stop)
        | (
            S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::RemoveSource { .. } | O::SetPlaybackRate { .. } | O::SetSourceMute { .. },
        )
        | (
            S::Idle | S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::SetVolume { .. } | O::SetMute { .. } | O::SetVideoWindow { .. },
        ) => true,

        (S::Idle | S::Loaded, O::Play | O::Pause | O::SetPosition { .. } | O::Flush { .. })
        | (
            S::Idle,
            O::Attach { .. }
            | O::AllAttached
            | O::Stop
            | O::RemoveSource { .. }
            | O::SetPlaybackRate { .. }
            | O::SetSourceMute { .. },
        )
        | (S::Loaded, O::Load { .. })
        | (
            S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            O::Load { .. } | O::Attach { .. } | O::AllAttached,
        )
        | (
            S::Opening | S::Failed | S::Closing,
            O::Load { .. }
            | O::Attach { .. }
            | O::AllAttached
            | O::Play
            | O::Pause
            | O::Stop
            | O::SetPosition { .. }
            | O::Flush { .. }
            | O::SetVolume { .. }
            | O::SetMute { .. }
            | O::RemoveSource { .. }
            | O::SetPlaybackRate { .. }
            | O::SetVideoWindow { .. }
            | O::SetSourceMute { .. },
        )
        // No client can ask for it.
        | (_, O::Beat) => false,
    }
}

/// The state after the decoder said what it does; `None` where that cannot be. `is_building`: the order to build the
/// pipeline is under way, so the decoder may be ahead of its completion.
pub(super) const fn after_decoder_state(state: State, said: PlaybackState, is_building: bool) -> Option<State> {
    use {PlaybackState as D, State as S};
    match (state, said) {
        (S::Loaded, D::Buffering | D::Paused | D::Playing | D::EndOfStream) if !is_building => None,
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::Buffering) => {
            Some(S::Buffering)
        }
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::Paused) => {
            Some(S::Paused)
        }
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::Playing) => {
            Some(S::Playing)
        }
        (S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream, D::EndOfStream) => {
            Some(S::EndOfStream)
        }
        // Idle comes with the completion of Stop, a failure with its reason; a decoder says neither this way.
        (
            S::Loaded | S::SourcesAttached | S::Buffering | S::Paused | S::Playing | S::EndOfStream,
            D::Idle | D::Failed,
        )
        | (
            S::Opening | S::Idle | S::Failed | S::Closing,
            D::Idle | D::Buffering | D::Paused | D::Playing | D::EndOfStream | D::Failed,
        ) => None,
    }
}

/// Whether a session is of no more use when this order failed so. The others leave it as it was, and so does every one
/// that the decoder does not know.
pub(super) const fn breaks_the_session(order: Order, error: PlaybackError) -> bool {
    match order {
        Order::AllAttached
        | Order::Play
        | Order::Pause
        | Order::Stop
        | Order::SetPosition { .. }
        | Order::Flush { .. }
        | Order::RemoveSource { .. }
        | Order::SetPlaybackRate { .. } => !matches!(error, PlaybackError::Unsupported),
        Order::Load { .. }
        | Order::Attach { .. }
        | Order::SetVolume { .. }
        | Order::SetMute { .. }
        | Order::SetVideoWindow { .. }
        | Order::SetSourceMute { .. }
        | Order::Beat => false,
    }
}
