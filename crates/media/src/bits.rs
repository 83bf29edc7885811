//! Reading the bits of a raw byte sequence payload (ITU-T H.264 §7.2, §9.1).

use crate::ParameterSetsError;

/// The payload of a NAL unit without its emulation prevention bytes (H.264 §7.3.1): `00 00 03` is `00 00`.
pub(crate) fn unescape(unit: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// Reads bits, the highest of each byte first; the end of the bytes is an error, never a panic.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// u(1).
    pub(crate) fn flag(&mut self) -> Result<bool, ParameterSetsError> {
        let byte =
            self.bytes.get(self.at / 8).ok_or(ParameterSetsError::Damaged("it ends early"))?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// u(n), for up to 32 bits.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, ParameterSetsError> {
        debug_assert!(count <= 32);
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// u(8).
    pub(crate) fn byte(&mut self) -> Result<u8, ParameterSetsError> {
        Ok(self.bits(8)?.to_be_bytes()[3])
    }

    /// Passes over bits that say nothing here.
    pub(crate) fn skip(&mut self, count: u32) -> Result<(), ParameterSetsError> {
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// ue(v): an Exp-Golomb code.
    pub(crate) fn ue(&mut self) -> Result<u32, ParameterSetsError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(ParameterSetsError::Damaged("a number is too long"));
            }
        }
        Ok((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// ue(v) that may not pass `max`.
    pub(crate) fn ue_to(&mut self, max: u32) -> Result<u32, ParameterSetsError> {
        match self.ue()? {
            value if value <= max => Ok(value),
            _ => Err(ParameterSetsError::Damaged("a number is out of its range")),
        }
    }

    /// ue(v) that may not pass `max`, which fits a byte.
    pub(crate) fn ue_byte(&mut self, max: u8) -> Result<u8, ParameterSetsError> {
        Ok(self.ue_to(max.into())?.to_be_bytes()[3])
    }

    /// se(v): an Exp-Golomb code with a sign.
    pub(crate) fn se(&mut self) -> Result<i64, ParameterSetsError> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }

    /// Passes over Exp-Golomb codes.
    pub(crate) fn skip_ue(&mut self, count: u32) -> Result<(), ParameterSetsError> {
        (0..count).try_for_each(|_| self.ue().map(drop))
    }
}
