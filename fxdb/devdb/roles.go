package devdb

// RoleOwner is the login role that owns schemas and runs migrations.
const RoleOwner = "onepool_owner"

// RoleApp is the login role of applications. RoleApp is no superuser and may not bypass
// row-level security. RoleApp gets data privileges on all objects that [RoleOwner] creates in a
// database made from template1.
const RoleApp = "onepool_app"

// rolesSQL runs once, in template1, when devdb builds the cluster template. Roles belong to the
// whole server; default privileges and grants belong to a database, and "create database"
// copies the grants from template1. The single-user mode takes a statement a line.
const rolesSQL = `create role ` + RoleOwner + ` login nosuperuser nobypassrls
create role ` + RoleApp + ` login nosuperuser nobypassrls
revoke create on schema public from public
` + Privileges

// Privileges are the statements, each on a line, that let [RoleOwner] create objects and
// [RoleApp] use RoleOwner's objects. The privileges belong to a database; on a server that
// devdb started, every database made from template1 has the privileges.
const Privileges = `grant create, usage on schema public to ` + RoleOwner + `
alter default privileges for role ` + RoleOwner + ` grant usage on schemas to ` + RoleApp + `
alter default privileges for role ` + RoleOwner + ` grant select, insert, update, delete on tables to ` + RoleApp + `
alter default privileges for role ` + RoleOwner + ` grant usage on sequences to ` + RoleApp + `
`
