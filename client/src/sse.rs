//! Pure: bytes of an event stream become frames, as the HTML standard's "interpreting an event
//! stream" says.
//!
//! Knows lines and fields, not what a frame means.

/// The longest line, and the most data of one frame; the server's frames are a small part of it.
const MAX_BYTES: usize = 1 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// The kind; `message` where the stream names none.
    pub event: String,
    /// The lines of data, joined by line feeds.
    pub data: String,
    /// The id that stands after this frame: its own, or the last one before it. Empty before any.
    pub id: String,
    /// Whether the id came with this frame.
    pub has_own_id: bool,
}

/// What was sent cannot be an event stream of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of more than {MAX_BYTES} bytes")]
pub struct TooLong;

/// Collects bytes until a frame is whole. Memory is bounded by one frame.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_carriage_return: bool,
    begun: bool,
    event: String,
    data: String,
    id: String,
    has_own_id: bool,
    retry_ms: Option<u64>,
}

impl Parser {
    /// A parser for a stream resumed after `id`, which counts as the last one seen.
    pub fn resuming(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    /// How long the server asks to wait before connecting again, if it said so.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Takes in what came and gives out the frames it completes.
    ///
    /// # Errors
    /// A frame that grows without end.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<RawFrame>, TooLong> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let follows_carriage_return =
                std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                b'\n' if follows_carriage_return => {}
                b'\n' | b'\r' => frames.extend(self.end_line()),
                _ if self.line.len() + self.data.len() >= MAX_BYTES => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(frames)
    }

    fn end_line(&mut self) -> Option<RawFrame> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let line = if self.begun {
            &text
        } else {
            text.strip_prefix('\u{feff}').unwrap_or(&text)
        };
        self.begun = true;
        if line.is_empty() {
            return self.end_frame();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => {
                value.clone_into(&mut self.id);
                self.has_own_id = true;
            }
            "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
            _ => {}
        }
        None
    }

    fn end_frame(&mut self) -> Option<RawFrame> {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        let has_own_id = std::mem::take(&mut self.has_own_id);
        data.pop()?;
        let event = if event.is_empty() {
            "message".to_owned()
        } else {
            event
        };
        Some(RawFrame {
            event,
            data,
            id: self.id.clone(),
            has_own_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frames::Frame;

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_are_read_as_if_they_came_at_once(
            noise in prop::collection::vec(
                prop_oneof![
                    any::<Vec<u8>>(),
                    prop::sample::select(vec![
                        "data: ", "data", "event: like\n", "id: 7\n", "id: \0\n", "retry: 1", ": ", "{}",
                        "{\"id\":1,", "\n", "\r", "\r\n", "\n\n", "\u{feff}", "é",
                    ]).prop_map(|piece| piece.as_bytes().to_vec()),
                ],
                0..40,
            ),
            cut in 1..9_usize,
        ) {
            let bytes = noise.concat();

            let whole = Parser::default().feed(&bytes).unwrap();
            let mut parser = Parser::default();
            let pieces = bytes.chunks(cut).flat_map(|piece| parser.feed(piece).unwrap());

            prop_assert_eq!(pieces.collect::<Vec<_>>(), whole.clone());
            for frame in whole {
                prop_assert!(!frame.id.contains(['\0', '\n', '\r']));
                prop_assert!(!frame.event.is_empty());
                // Either what the API documents, or a refusal; never a panic.
                drop(Frame::parse(&frame));
            }
        }
    }

    fn frames_of(text: &str) -> Vec<RawFrame> {
        Parser::default().feed(text.as_bytes()).unwrap()
    }

    fn frame(event: &str, data: &str, id: &str) -> RawFrame {
        RawFrame {
            event: event.into(),
            data: data.into(),
            id: id.into(),
            has_own_id: !id.is_empty(),
        }
    }

    #[test]
    fn a_frame_ends_at_an_empty_line() {
        assert_eq!(
            frames_of("event: like\nid: 7\ndata: {}\n\n"),
            [frame("like", "{}", "7")]
        );
        assert_eq!(frames_of("event: like\ndata: {}\n"), []);
    }

    #[test]
    fn every_line_ending_of_the_standard_counts_once() {
        let expected = [frame("message", "a\nb", ""), frame("message", "c", "")];
        for ending in ["\n", "\r\n", "\r"] {
            let text = "data: a\ndata: b\n\ndata: c\n\n".replace('\n', ending);
            assert_eq!(frames_of(&text), expected, "{ending:?}");
        }
    }

    #[test]
    fn it_does_not_matter_where_the_network_cuts() {
        let text = "\u{feff}: hi\r\nid: 1\r\ndata: é日\r\ndata\r\n\r\ndata: b\r\n\r\n";
        let whole = frames_of(text);

        let mut parser = Parser::default();
        let bytewise: Vec<_> = text
            .bytes()
            .flat_map(|byte| parser.feed(&[byte]).unwrap())
            .collect();

        assert_eq!(bytewise, whole);
        assert_eq!(
            whole,
            [
                frame("message", "é日\n", "1"),
                RawFrame {
                    has_own_id: false,
                    ..frame("message", "b", "1")
                },
            ]
        );
    }

    #[test]
    fn comments_and_unknown_fields_are_passed_over() {
        assert_eq!(
            frames_of(": keep-alive\n\nfoo: bar\ndata:x\n\n"),
            [frame("message", "x", "")]
        );
    }

    #[test]
    fn an_id_stays_until_another_comes() {
        let frames = frames_of("id: a\ndata: 1\n\ndata: 2\n\nid\ndata: 3\n\n");
        let ids: Vec<_> = frames.iter().map(|frame| frame.id.as_str()).collect();
        assert_eq!(ids, ["a", "a", ""]);
    }

    #[test]
    fn a_resumed_stream_begins_with_the_id_it_was_resumed_after() {
        let frames = Parser::resuming("z").feed(b"data: 1\n\n").unwrap();
        assert_eq!(frames[0].id, "z");
    }

    #[test]
    fn an_event_without_data_is_dropped_and_forgotten() {
        assert_eq!(
            frames_of("event: like\n\ndata: x\n\n"),
            [frame("message", "x", "")]
        );
    }

    #[test]
    fn the_wait_before_connecting_again_is_kept() {
        let mut parser = Parser::default();
        parser.feed(b"retry: 250\n\nretry: soon\n\n").unwrap();
        assert_eq!(parser.retry_ms(), Some(250));
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut parser = Parser::default();
        let endless = vec![b'x'; MAX_BYTES + 1];
        assert_eq!(parser.feed(&endless), Err(TooLong));
    }
}
