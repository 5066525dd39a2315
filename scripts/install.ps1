<#
.SYNOPSIS
Installs hfdl for the current user: the programs, their place in PATH, and completion.

.DESCRIPTION
From an unpacked package the programs beside this file are installed; in a checkout they are built.
No administrator is needed. Models, settings and the task of the timer are left alone: run `hfdl stop`
before you remove hfdl for good.

.PARAMETER Prefix
The folder for the programs. The default is %LOCALAPPDATA%\Programs\hfdl.

.PARAMETER Uninstall
Removes what was installed in the folder, and the folder from PATH.

.PARAMETER Program
The hfdl.exe to install instead of one that lies here or is built; hfdlw.exe is beside it.

.EXAMPLE
powershell -ExecutionPolicy Bypass -File install.ps1

.EXAMPLE
powershell -ExecutionPolicy Bypass -File install.ps1 -Uninstall
#>
[CmdletBinding()]
param(
    [string]$Prefix = (Join-Path $env:LOCALAPPDATA 'Programs\hfdl'),
    [switch]$Uninstall,
    [string]$Program
)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$names = @('hfdl.exe', 'hfdlw.exe')
$completion = Join-Path $Prefix 'completion.ps1'

# Returns the folders of the user's PATH as they are written in the registry, with their variables.
function Get-UserPath {
    $key = [Microsoft.Win32.Registry]::CurrentUser.OpenSubKey('Environment')
    $text = $key.GetValue('Path', '', [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
    $key.Close()
    return @($text -split ';' | Where-Object { $_ -ne '' })
}

function Set-UserPath([string[]]$Folders) {
    $key = [Microsoft.Win32.Registry]::CurrentUser.OpenSubKey('Environment', $true)
    $key.SetValue('Path', ($Folders -join ';'), [Microsoft.Win32.RegistryValueKind]::ExpandString)
    $key.Close()
    # A change of any variable by this call tells running programs of the new PATH.
    [Environment]::SetEnvironmentVariable('HFDL_INSTALL', 'done', 'User')
    [Environment]::SetEnvironmentVariable('HFDL_INSTALL', $null, 'User')
}

# Moves a program aside, because Windows replaces no file of a running program, but renames it.
function Move-Aside([string]$Path) {
    if (-not (Test-Path -LiteralPath $Path)) { return }
    $aside = '{0}.old-{1}' -f $Path, [Guid]::NewGuid().ToString('N')
    Move-Item -LiteralPath $Path -Destination $aside
    Remove-Item -LiteralPath $aside -ErrorAction SilentlyContinue
}

function Remove-OldPrograms {
    Get-ChildItem -LiteralPath $Prefix -Filter '*.exe.old-*' -ErrorAction SilentlyContinue |
        Remove-Item -ErrorAction SilentlyContinue
}

# Returns the folder that has both programs.
function Find-Programs {
    if ($Program) {
        return Split-Path -Parent (Resolve-Path -LiteralPath $Program).ProviderPath
    }
    if (Test-Path -LiteralPath (Join-Path $PSScriptRoot 'hfdl.exe')) { return $PSScriptRoot }
    $root = Split-Path -Parent $PSScriptRoot
    if (-not (Get-Command cargo -ErrorAction SilentlyContinue)) {
        throw 'cargo is missing: install Rust as https://www.rust-lang.org/tools/install says'
    }
    $target = Join-Path $root 'target'
    $manifest = Join-Path $root 'Cargo.toml'
    & cargo build --release --locked --bins --package hfdl --manifest-path $manifest --target-dir $target
    if ($LASTEXITCODE -ne 0) { throw 'the build failed' }
    return Join-Path $target 'release'
}

if ($Uninstall) {
    if (-not (Test-Path -LiteralPath (Join-Path $Prefix 'hfdl.exe'))) {
        throw "hfdl is not installed in $Prefix"
    }
    foreach ($name in $names) { Move-Aside (Join-Path $Prefix $name) }
    Remove-Item -LiteralPath $completion -ErrorAction SilentlyContinue
    Remove-OldPrograms
    Set-UserPath @(Get-UserPath | Where-Object { $_ -ne $Prefix })
    if (-not (Get-ChildItem -LiteralPath $Prefix -Force)) { Remove-Item -LiteralPath $Prefix }
    Write-Output "removed from $Prefix; models, settings and a timer are left as they are"
    exit 0
}

$from = Find-Programs
foreach ($name in $names) {
    if (-not (Test-Path -LiteralPath (Join-Path $from $name))) { throw "there is no $name in $from" }
}
New-Item -ItemType Directory -Force -Path $Prefix | Out-Null
Remove-OldPrograms
foreach ($name in $names) {
    $new = Join-Path $Prefix "$name.new"
    Copy-Item -LiteralPath (Join-Path $from $name) -Destination $new -Force
    Move-Aside (Join-Path $Prefix $name)
    Move-Item -LiteralPath $new -Destination (Join-Path $Prefix $name)
}
$installed = Join-Path $Prefix 'hfdl.exe'
& $installed completions powershell | Set-Content -LiteralPath $completion -Encoding UTF8
$folders = @(Get-UserPath)
if ($folders -notcontains $Prefix) { Set-UserPath ($folders + $Prefix) }

$version = & $installed --version
Write-Output "$version is installed as $installed"
Write-Output 'PATH has it in the next terminal that you open'
Write-Output "for completion add this line to your profile: . '$completion'"
Write-Output 'next: hfdl models add org/name, hfdl schedules add, hfdl start'
