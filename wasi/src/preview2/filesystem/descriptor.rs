//! Functions of a `descriptor` without a path.

use super::super::host::{Host, Stop};
use super::super::input::Source;
use super::super::output::Sink;
use super::super::{InputStream, OutputStream, args};
use super::code::failed;
use super::{DESCRIPTOR_BYTES, done, get, on_directory, on_file};
use crate::canonical::Value;
use crate::files::{self, Advice, Durability, FileType, Node, Stat, WriteAt};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Most bytes of a read or a write.
const MOST: usize = 64 << 10;

pub(super) fn read_via_stream(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, offset] = args(values)?;
    let offset = offset.u64()?;
    let file = match get(host, descriptor)?.file() {
        Ok(file) => file,
        Err(error) => return Ok(failed(error)),
    };
    let stream = InputStream::of(Source::File { file, offset });
    let stream = host.resources().insert_kept(stream, DESCRIPTOR_BYTES)?;
    Ok(Value::ok(Value::Handle(stream)))
}

fn write_stream(host: &mut Host<'_, '_>, descriptor: &Value, at: WriteAt) -> Result<Value, Stop> {
    let descriptor = get(host, descriptor)?;
    let durability = descriptor.durability();
    let file = match descriptor.file() {
        Ok(file) => file,
        Err(error) => return Ok(failed(error)),
    };
    let sink = Sink::File { file, at, durability };
    let stream = host.resources().insert_kept(OutputStream::of(sink), DESCRIPTOR_BYTES)?;
    Ok(Value::ok(Value::Handle(stream)))
}

pub(super) fn write_via_stream(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, offset] = args(values)?;
    write_stream(host, descriptor, WriteAt::Offset(offset.u64()?))
}

pub(super) fn append_via_stream(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    write_stream(host, descriptor, WriteAt::End)
}

pub(super) fn advise(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, offset, len, advice] = args(values)?;
    let (offset, len) = (offset.u64()?, len.u64()?);
    let advice = match advice.variant()?.0 {
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => Advice::Normal,
    };
    let file = get(host, descriptor)?.file();
    on_file(host, file, move |file| file.advise(offset, len, advice), done)
}

pub(super) fn sync_data(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    syncing(host, values, Durability::Data)
}

pub(super) fn sync(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    syncing(host, values, Durability::File)
}

fn syncing(
    host: &mut Host<'_, '_>,
    values: &[Value],
    durability: Durability,
) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    match get(host, descriptor)?.node.clone() {
        Node::File(file) => on_file(host, Ok(file), move |file| file.sync(durability), done),
        Node::Directory(directory) => {
            on_directory(host, Ok(directory), |directory| directory.sync(), done)
        }
    }
}

pub(super) fn get_flags(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    Ok(Value::ok(Value::Flags(get(host, descriptor)?.flags)))
}

pub(super) fn get_type(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    let kind = match get(host, descriptor)?.node {
        Node::File(_) => FileType::Regular,
        Node::Directory(_) => FileType::Directory,
    };
    Ok(Value::ok(file_type(kind)))
}

pub(super) fn set_size(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, size] = args(values)?;
    let size = size.u64()?;
    let file = get(host, descriptor)?.file();
    on_file(host, file, move |file| file.set_size(size), done)
}

pub(super) fn read(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, len, offset] = args(values)?;
    let len = usize::try_from(len.u64()?).map_or(MOST, |len| len.min(MOST));
    let offset = offset.u64()?;
    let file = get(host, descriptor)?.file();
    let read = move |file: &dyn files::File| {
        let mut bytes = vec![0; len];
        let read = file.read(&mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    on_file(host, file, read, move |bytes| {
        let is_end = bytes.is_empty() && len > 0;
        Value::ok(Value::Record(vec![Value::Bytes(bytes), Value::Bool(is_end)]))
    })
}

pub(super) fn write(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, buffer, offset] = args(values)?;
    let bytes = host.bytes(buffer.slice()?)?;
    let bytes = bytes[..bytes.len().min(MOST)].to_vec();
    let at = WriteAt::Offset(offset.u64()?);
    let descriptor = get(host, descriptor)?;
    let (file, durability) = (descriptor.file(), descriptor.durability());
    on_file(
        host,
        file,
        move |file| file.write(&bytes, at, durability),
        |written| Value::ok(Value::U64(written.bytes as u64)),
    )
}

pub(super) fn stat(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    let node = get(host, descriptor)?.node.clone();
    on_stat(host, node, |stat| Value::ok(stat_value(&stat)))
}

fn on_stat(
    host: &mut Host<'_, '_>,
    node: Node,
    told: impl FnOnce(Stat) -> Value + Send + 'static,
) -> Result<Value, Stop> {
    match node {
        Node::File(file) => on_file(host, Ok(file), |file| file.stat(), told),
        Node::Directory(directory) => {
            on_directory(host, Ok(directory), |directory| directory.stat(), told)
        }
    }
}

pub(super) fn is_same_object(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [one, other] = args(values)?;
    let (one, other) = (get(host, one)?.node.clone(), get(host, other)?.node.clone());
    let stat = |node: &Node| match node {
        Node::File(file) => file.stat(),
        Node::Directory(directory) => directory.stat(),
    };
    let same = move || match (stat(&one), stat(&other)) {
        (Ok(one), Ok(other)) => (one.device, one.inode) == (other.device, other.inode),
        _ => false,
    };
    host.work(true, same, |_, same| Ok(Value::Bool(same)))
}

pub(super) fn metadata_hash(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    let node = get(host, descriptor)?.node.clone();
    on_stat(host, node, |stat| Value::ok(hash_value(&stat)))
}

/// `metadata-hash-value`: two files have the same one if they are one and nothing has changed it.
pub(super) fn hash_value(stat: &Stat) -> Value {
    let half = |number: u8| {
        let mut hasher = DefaultHasher::new();
        (number, stat.device, stat.inode, stat.size, stat.modified.0).hash(&mut hasher);
        Value::U64(hasher.finish())
    };
    Value::Record(vec![half(0), half(1)])
}

/// `descriptor-type`
pub(crate) fn file_type(kind: FileType) -> Value {
    Value::case(match kind {
        FileType::Unknown => 0,
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 3,
        FileType::Symlink => 5,
        FileType::Regular => 6,
        FileType::SocketDatagram | FileType::SocketStream => 7,
    })
}

/// `descriptor-stat`
pub(super) fn stat_value(stat: &Stat) -> Value {
    let time = |time: files::Timestamp| Value::some(super::super::clocks::datetime(time.0));
    Value::Record(vec![
        file_type(stat.kind),
        Value::U64(stat.links),
        Value::U64(stat.size),
        time(stat.accessed),
        time(stat.modified),
        time(stat.changed),
    ])
}
