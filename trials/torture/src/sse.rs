//! Server-sent events, as far as our streams use them: bytes in, whole frames out.

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub event: String,
    /// Its own id, where it has one.
    pub id: Option<String>,
    /// What it carries.
    pub data: String,
}

/// Collects bytes until frames are whole. A frame that breaks off is as if it had never been sent.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    frame: Frame,
}

impl Parser {
    /// Takes in what came and returns the frames it completes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                frames.extend(self.take(&String::from_utf8_lossy(&line)));
            } else {
                self.line.push(byte);
            }
        }
        frames
    }

    fn take(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return (!frame.data.is_empty()).then_some(frame);
        }
        match line.split_once(": ")? {
            ("event", value) => value.clone_into(&mut self.frame.event),
            ("id", value) => self.frame.id = Some(value.to_owned()),
            ("data", value) => self.frame.data.push_str(value),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole_wherever_the_network_cuts_and_half_ones_do_not_count() {
        let text = "retry: 1000\n\nevent: like\nid: c1\ndata: {\"é\":1}\n\n: still here\n\nevent: x\nid: c2\n";
        let mut parser = Parser::default();

        let frames: Vec<Frame> = text
            .as_bytes()
            .chunks(3)
            .flat_map(|piece| parser.feed(piece))
            .collect();

        let like = Frame {
            event: "like".into(),
            id: Some("c1".into()),
            data: "{\"é\":1}".into(),
        };
        assert_eq!(frames, [like]);
    }
}
