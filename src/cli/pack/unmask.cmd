@echo off
rem unmask @VERSION@ for @TARGET@, made by `deno task pack`. It needs the folders beside it.
setlocal
set "DENO_DIR=%~dp0cache"
set DENO_NO_PACKAGE_JSON=1
set DENO_NO_UPDATE_CHECK=1
set DENO_CONDITIONS=
set NPM_CONFIG_REGISTRY=
"%~dp0deno.exe" run @FLAGS@ --config "%~dp0app\deno.json" --lock "%~dp0app\deno.lock" "%~dp0app\@ENTRY@" %*
