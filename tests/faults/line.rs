//! A line between two agents that flips one bit of its first connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which byte and bit, and whether of what the source sends, or else of what it is sent.
#[derive(Clone, Copy)]
pub struct Bit {
    pub at: u64,
    pub bit: u64,
    pub from_source: bool,
}

/// Its address, and whether it has flipped the bit yet.
pub fn flipping(to: String, bit: Bit) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let flipped = Arc::new(AtomicBool::new(false));
    let told = flipped.clone();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut bit = Some(bit);
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else {
                continue;
            };
            let (back, on) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let bit = bit.take();
            let (there, here) = match bit {
                Some(it) if it.from_source => (None, bit),
                _ => (bit, None),
            };
            let (told_there, told_here) = (told.clone(), told.clone());
            std::thread::spawn(move || pump(client, on, there, &told_there));
            std::thread::spawn(move || pump(server, back, here, &told_here));
        }
    });
    (address, flipped)
}

fn pump(mut from: TcpStream, mut to: TcpStream, bit: Option<Bit>, flipped: &AtomicBool) {
    let mut passed = 0;
    let mut buf = vec![0; 32 * 1024];
    while let Ok(n) = from.read(&mut buf) {
        if let Some(it) = bit
            && (passed..passed + n as u64).contains(&it.at)
        {
            buf[(it.at - passed) as usize] ^= 1 << it.bit;
            flipped.store(true, Ordering::SeqCst);
        }
        passed += n as u64;
        if n == 0 || to.write_all(&buf[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
