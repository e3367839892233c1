//! Files and directories of WASI 0.3, in the guest's first directory; or sockets, if there are two arguments: the port of
//! a server that sends back what it gets, and one where nobody listens.

use wasip3::clocks::system_clock::Instant;
use wasip3::filesystem::preopens;
use wasip3::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{
    ErrorCode as NetworkError, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket,
    UdpSocket,
};
use wasip3::wit_bindgen::rt::async_support::StreamResult;
use wasip3::wit_stream;

/// Bytes that are written, many pieces of the host's.
const WRITTEN: usize = 200_000;

/// Files of a directory, more than are listed at once.
const FILES: usize = 150;

struct Program;

fn bytes() -> Vec<u8> {
    (0..WRITTEN).map(|at| (at % 251) as u8).collect()
}

async fn open(root: &Descriptor, path: &str, flags: OpenFlags) -> Result<Descriptor, ErrorCode> {
    let access = DescriptorFlags::READ | DescriptorFlags::WRITE;
    root.open_at(PathFlags::empty(), path.to_owned(), flags, access).await
}

/// Writes by a stream, from an offset on, or at the end.
async fn write(file: &Descriptor, bytes: Vec<u8>, offset: Option<u64>) -> Result<(), ErrorCode> {
    let (mut writer, reader) = wit_stream::new();
    let end = match offset {
        Some(offset) => file.write_via_stream(reader, offset),
        None => file.append_via_stream(reader),
    };
    let left = writer.write_all(bytes).await;
    drop(writer);
    println!("{} bytes left", left.len());
    end.await
}

async fn read(file: &Descriptor, offset: u64) -> (Vec<u8>, Result<(), ErrorCode>) {
    let (mut stream, end) = file.read_via_stream(offset);
    let mut all = Vec::new();
    loop {
        let (result, piece) = stream.read(Vec::with_capacity(10_000)).await;
        all.extend(piece);
        if result == StreamResult::Dropped {
            return (all, end.await);
        }
    }
}

async fn files(root: &Descriptor) -> Result<(), ErrorCode> {
    let file = open(root, "a.txt", OpenFlags::CREATE).await?;
    println!("{:?}", write(&file, bytes(), Some(0)).await);
    println!("{:?}", write(&file, b"the end".to_vec(), None).await);
    println!("{:?}", write(&file, b"XY".to_vec(), Some(1)).await);
    let (found, end) = read(&file, 0).await;
    let mut expected = bytes();
    expected.extend(b"the end");
    expected[1..3].copy_from_slice(b"XY");
    println!("{} bytes, {}, {end:?}", found.len(), found == expected);
    println!("{:?}", read(&file, WRITTEN as u64 + 4).await);
    println!("{:?}", read(&file, 1 << 40).await);
    let time = NewTimestamp::Timestamp(Instant { seconds: 1_000_000_000, nanoseconds: 5 });
    file.set_times(NewTimestamp::NoChange, time).await?;
    let stat = root.stat_at(PathFlags::empty(), "a.txt".to_owned()).await?;
    let modified = stat.data_modification_timestamp.unwrap();
    println!("{:?} {} {}.{}", stat.type_, stat.size, modified.seconds, modified.nanoseconds);
    Ok(())
}

async fn directories(root: &Descriptor) -> Result<(), ErrorCode> {
    root.create_directory_at("sub".to_owned()).await?;
    let sub = root
        .open_at(PathFlags::empty(), "sub".to_owned(), OpenFlags::DIRECTORY, DescriptorFlags::READ)
        .await?;
    for number in 0..FILES {
        open(root, &format!("sub/{number:03}"), OpenFlags::CREATE | OpenFlags::EXCLUSIVE).await?;
    }
    let (mut stream, end) = sub.read_directory();
    let mut names = Vec::new();
    // One first, and all others: what was listed and not taken stays.
    let (_, first) = stream.read(Vec::with_capacity(1)).await;
    println!("{} at first", first.len());
    names.extend(first);
    while let Some(entry) = stream.next().await {
        names.push(entry);
    }
    println!("{:?}", end.await);
    println!("{}", names.iter().all(|entry| matches!(entry.type_, DescriptorType::RegularFile)));
    let mut names: Vec<String> = names.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names.dedup();
    println!("{} names, {:?} to {:?}", names.len(), names.first(), names.last());
    Ok(())
}

async fn errors(root: &Descriptor) {
    println!("{:?}", open(root, "none", OpenFlags::empty()).await.err());
    println!("{:?}", open(root, "../up", OpenFlags::empty()).await.err());
    println!("{:?}", root.remove_directory_at("sub".to_owned()).await);
    println!("{:?}", read(root, 0).await);
    println!("{:?}", write(root, b"abc".to_vec(), Some(0)).await);
    let file = open(root, "a.txt", OpenFlags::empty()).await.unwrap();
    let (_, end) = file.read_directory();
    println!("{:?}", end.await);
    let to_read = root
        .open_at(PathFlags::empty(), "a.txt".to_owned(), OpenFlags::empty(), DescriptorFlags::READ)
        .await
        .unwrap();
    println!("{:?}", write(&to_read, b"abc".to_vec(), Some(0)).await);
}

fn address(ip: [u8; 4], port: u16) -> IpSocketAddress {
    let [a, b, c, d] = ip;
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) })
}

const LOCAL: [u8; 4] = [127, 0, 0, 1];

/// Sends bytes, many times what the system keeps of them, and reads all of them back.
async fn connection(port: u16) -> Result<(), NetworkError> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    println!("{:?}", socket.get_remote_address().err());
    socket.connect(address(LOCAL, port)).await?;
    println!("{:?}", socket.connect(address(LOCAL, port)).await);
    socket.set_hop_limit(33)?;
    println!("{:?}", socket.get_hop_limit());
    let (mut writer, reader) = wit_stream::new();
    let sent = socket.send(reader);
    let (mut stream, end) = socket.receive();
    let (_, again) = socket.receive();
    println!("{:?}", again.await);
    let bytes: Vec<u8> = (0..3 << 20).map(|at| (at % 251) as u8).collect();
    let left = writer.write_all(bytes.clone()).await;
    drop(writer);
    println!("{} bytes left, {:?}", left.len(), sent.await);
    let mut all = Vec::new();
    loop {
        let (result, piece) = stream.read(Vec::with_capacity(10_000)).await;
        all.extend(piece);
        if result == StreamResult::Dropped {
            break;
        }
    }
    println!("{} bytes, {}, {:?}", all.len(), all == bytes, end.await);
    Ok(())
}

async fn datagrams(port: u16) -> Result<(), NetworkError> {
    let socket = UdpSocket::create(IpAddressFamily::Ipv4)?;
    println!("{:?}", socket.receive().await.err());
    socket.send(b"one".to_vec(), Some(address(LOCAL, port))).await?;
    println!("{:?}", socket.receive().await.map(|(data, _)| data));
    socket.connect(address(LOCAL, port))?;
    socket.send(vec![b'x'; 1400], None).await?;
    println!("{:?}", socket.receive().await.map(|(data, _)| data.len()));
    Ok(())
}

async fn refused(closed: u16) -> Result<(), NetworkError> {
    let socket = || TcpSocket::create(IpAddressFamily::Ipv4);
    println!("{:?}", socket()?.connect(address(LOCAL, closed)).await);
    println!("{:?}", socket()?.connect(address(LOCAL, 1)).await);
    println!("{:?}", socket()?.bind(address(LOCAL, 80)));
    println!("{:?}", socket()?.listen().err());
    println!(
        "{:?}",
        resolve_addresses("localhost".to_owned()).await.map(|found| !found.is_empty())
    );
    println!("{:?}", resolve_addresses("name.example".to_owned()).await.err());
    Ok(())
}

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().unwrap()).collect();
        if let [open, closed] = ports[..] {
            connection(open).await.unwrap();
            datagrams(open).await.unwrap();
            refused(closed).await.unwrap();
            return Ok(());
        }
        let (root, name) = preopens::get_directories().remove(0);
        println!("{name}");
        files(&root).await.unwrap();
        directories(&root).await.unwrap();
        errors(&root).await;
        Ok(())
    }
}

wasip3::cli::command::export!(Program);
