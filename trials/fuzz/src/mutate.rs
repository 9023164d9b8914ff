//! Seeded mutations of an input, shared by the test of this crate and libFuzzer.

/// Tokens of the formats under test.
const WORDS: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n",
    "\\u0000",
    "\u{0}",
    "null",
    "true",
    "0",
    "1",
    "-1",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "1e400",
    "\"stamp\":",
    "\"origin\":",
    "\"seq\":",
    "\"hlc\":",
    "\"past\":",
    "\"vector\":",
    "\"refused\":",
    "\"unknown\":{\"a\":[]},",
    "1.00000001",
    "65535.ffffffff",
    "0.00000000",
    "%",
    "%FF",
    "%2F",
    "&after=",
    "&limit=",
    "+",
    "é",
    "\u{130}",
    "\u{212b}",
    "\u{1f600}",
    "\u{200d}",
    "[[replicas]]\n",
    " = ",
];

/// A seeded random number generator (xorshift).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed yields the same sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = bound as u64;
        usize::try_from((self.0 >> 11) % bound).expect("a number below a usize fits a usize")
    }
}

/// Mutates `input` in one to four places, in part with pieces of `other`.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        change(input, other, dice);
    }
}

fn change(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.below(input.len() + 1);
    let end = (at + 1 + dice.below(16)).min(input.len());
    match dice.below(8) {
        0 => insert(input, at, WORDS[dice.below(WORDS.len())].as_bytes()),
        1 if at < input.len() => input[at] ^= 1 << dice.below(8),
        2 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9'][dice.below(7)],
        3 => drop(input.drain(at.min(end)..end)),
        4 => {
            let piece = input[at.min(end)..end].to_vec();
            insert(input, at, &piece);
        }
        5 if !other.is_empty() => {
            let from = dice.below(other.len());
            let to = (from + 1 + dice.below(64)).min(other.len());
            insert(input, at, &other[from..to]);
        }
        6 if at < end => {
            let word = WORDS[dice.below(WORDS.len())].as_bytes();
            input.splice(at..end, word.iter().copied());
        }
        7 => input.truncate(at),
        _ => insert(input, at, &[u8::try_from(dice.below(256)).unwrap_or(0)]),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}
