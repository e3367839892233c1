create table orders(id integer primary key, item text not null, price real, placed text);
insert into orders(item, price, placed) values
  ('pear', 1.25, '2026-02-28'), ('apple', 0.5, '2026-02-27'), ('pear', 1.5, '2026-03-01');
select item, count(*), round(avg(price), 3) from orders group by item order by item;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
  select sum(i), max(i) from n;
select date(placed, '+1 day'), json_object('item', upper(item)) from orders order by placed;
create index by_item on orders(item);
explain query plan select * from orders where item = 'pear';
.mode json
select id, item from orders where item like 'p%';
select no_such_column from orders;
.exit 3
