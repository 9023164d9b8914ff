//! A disk that ends with the program.

use std::io;

use super::Disk;

/// Counts bytes, and stores none.
#[derive(Debug, Default)]
pub struct Memory(u64);

impl Disk for Memory {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0 += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0 = length;
        Ok(())
    }

    fn length(&self) -> u64 {
        self.0
    }
}
