//! SQLite in C: a table in memory with an index, filled, joined with itself, grouped and sorted.

use libsqlite3_sys::{
    SQLITE_OK, SQLITE_ROW, sqlite3, sqlite3_close, sqlite3_column_int64, sqlite3_exec,
    sqlite3_finalize, sqlite3_open, sqlite3_prepare_v2, sqlite3_step,
};
use programs::{measure, mix};
use std::ffi::CStr;
use std::ptr::{null_mut};

const FILL: &CStr = c"
    create table item (id integer primary key, parent integer, name text, price integer);
    create index item_parent on item (parent);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 8000)
    insert into item
        select i, i / 7, printf('item %d of %d', i * 7919 % 5003, i % 13), i * 104729 % 9973 from n;";

const ASK: &CStr = c"
    select parent.price % 50 as class, count(*), sum(child.price), max(length(child.name))
    from item as parent join item as child on child.parent = parent.id
    where child.name like '%7%' or child.price between 1000 and 6000
    group by class order by sum(child.price) desc";

fn main() {
    measure(|| {
        let mut database: *mut sqlite3 = null_mut();
        assert_eq!(unsafe { sqlite3_open(c":memory:".as_ptr(), &mut database) }, SQLITE_OK);
        let code =
            unsafe { sqlite3_exec(database, FILL.as_ptr(), None, null_mut(), null_mut()) };
        assert_eq!(code, SQLITE_OK);
        let mut statement = null_mut();
        let code = unsafe {
            sqlite3_prepare_v2(database, ASK.as_ptr(), -1, &mut statement, null_mut())
        };
        assert_eq!(code, SQLITE_OK);
        let mut sum = 0;
        while unsafe { sqlite3_step(statement) } == SQLITE_ROW {
            for column in 0..4 {
                sum = mix(sum, unsafe { sqlite3_column_int64(statement, column) }.cast_unsigned());
            }
        }
        unsafe { sqlite3_finalize(statement) };
        unsafe { sqlite3_close(database) };
        sum
    });
}
