package devdb

// RoleOwner is the login role that owns schemas and runs migrations.
const RoleOwner = "onepool_owner"

// RoleApp is the login role that applications work as. It is neither superuser nor
// may it bypass row-level security, and it gets data privileges on everything
// that [RoleOwner] creates in a database made from template1.
const RoleApp = "onepool_app"

// rolesSQL runs once, in template1, when the cluster template is built: roles
// belong to the whole server, default privileges and grants to one database,
// and "create database" copies them from template1. One statement a line, as
// the single-user mode wants it.
const rolesSQL = `create role ` + RoleOwner + ` login nosuperuser nobypassrls
create role ` + RoleApp + ` login nosuperuser nobypassrls
revoke create on schema public from public
` + Privileges

// Privileges are the statements, one a line, that let [RoleOwner] create and [RoleApp]
// use what it creates. They belong to a database; those made from template1 of a
// server started here have them.
const Privileges = `grant create, usage on schema public to ` + RoleOwner + `
alter default privileges for role ` + RoleOwner + ` grant usage on schemas to ` + RoleApp + `
alter default privileges for role ` + RoleOwner + ` grant select, insert, update, delete on tables to ` + RoleApp + `
alter default privileges for role ` + RoleOwner + ` grant usage on sequences to ` + RoleApp + `
`
