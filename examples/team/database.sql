-- A role and a database of the same name, where they are not there yet. psql's variables: name, secret.
select format('create role %I login password %L', :'name', :'secret')
  where not exists (select from pg_roles where rolname = :'name') \gexec
select format('create database %I owner %I', :'name', :'name')
  where not exists (select from pg_database where datname = :'name') \gexec
