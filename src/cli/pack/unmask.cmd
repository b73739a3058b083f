@echo off
rem unmask @VERSION@ for @TARGET@, made by `deno task pack`. It needs the folders beside it.
setlocal
set "DENO_DIR=%~dp0cache"
set DENO_NO_UPDATE_CHECK=1
"%~dp0deno.exe" run @FLAGS@ --config "%~dp0app\deno.json" --lock "%~dp0app\deno.lock" "%~dp0app\@ENTRY@" %*
