-- Rows that belong to another tenant than the default. Fill the table before the move.
create schema moving;
create table moving.owners (
    old_table text not null,
    old_id    text not null,
    tenant_id text not null,
    primary key (old_table, old_id)
);
