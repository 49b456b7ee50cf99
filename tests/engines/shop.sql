create table product (
  id serial primary key,
  name text not null,
  price numeric(10, 2) not null,
  stock bigint not null default 9007199254740993
);

create table review (
  id serial primary key,
  product_id integer not null references product (id),
  stars integer not null check (stars between 1 and 5),
  body text
);

create index on review (product_id);

insert into product (name, price) values ('City bicycle', 890.00), ('Helmet', 75.90), ('Lock', 59.00);
insert into review (product_id, stars, body) values (1, 5, 'Rides like a dream'), (1, 3, null), (2, 4, 'Fits');
