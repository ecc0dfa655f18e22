//! What is said about one record of a ring, beside its payload.

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RecordKind {
    /// A coded frame.
    Frame,
    /// No more frames come, until a flush.
    EndOfStream,
    /// The frames from here on belong to another stretch of the media, which starts at the record's time.
    Segment,
    /// The payload is the codec's configuration from here on.
    CodecData,
}

/// What is said about one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameHeader {
    /// What it is.
    pub kind: RecordKind,
    /// Which flush it came after; older epochs are dropped, a newer one waits until its flush arrives.
    pub epoch: u32,
    /// When it is presented, in nanoseconds from the start of the media.
    pub presentation_ns: Option<u64>,
    /// When it is decoded, in nanoseconds from the start of the media.
    pub decode_ns: Option<u64>,
    /// How long it lasts, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// Whether decoding can start with it.
    pub is_key: bool,
    /// Bytes of its payload.
    pub bytes: u32,
}

/// A record to be sent. The ring adds its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// When it is presented, in nanoseconds from the start of the media.
    pub presentation_ns: Option<u64>,
    /// When it is decoded, in nanoseconds from the start of the media.
    pub decode_ns: Option<u64>,
    /// How long it lasts, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// Whether decoding can start with it.
    pub is_key: bool,
    /// Its bytes; may be empty.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// A coded frame without times; set the fields that are known.
    pub const fn frame(payload: &'a [u8]) -> Self {
        Self::of(RecordKind::Frame, payload)
    }

    /// The codec's configuration from here on.
    pub const fn codec_data(payload: &'a [u8]) -> Self {
        Self::of(RecordKind::CodecData, payload)
    }

    /// No more frames come, until a flush.
    pub const fn end_of_stream() -> Self {
        Self::of(RecordKind::EndOfStream, &[])
    }

    /// The frames from here on belong to the stretch of the media that starts here, in nanoseconds.
    pub const fn segment(start_ns: u64) -> Self {
        Self { presentation_ns: Some(start_ns), ..Self::of(RecordKind::Segment, &[]) }
    }

    const fn of(kind: RecordKind, payload: &'a [u8]) -> Self {
        Self { kind, presentation_ns: None, decode_ns: None, duration_ns: None, is_key: false, payload }
    }
}
