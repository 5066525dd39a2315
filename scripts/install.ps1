<#
.SYNOPSIS
Installs hfdl for the current user: the programs, their place in PATH, and completion.

.DESCRIPTION
From an unpacked package the programs beside this file are installed; in a checkout they are built.
No administrator is needed, and hfdl may be running. Models, settings and the task of the timer are left
alone: run `hfdl stop` before you remove hfdl for good. `Get-FileHash` prints the checksum of a package, for
comparison with SHA256SUMS.

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
# PATH needs an absolute path, and finds the folder again if it has one form.
$Prefix = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Prefix).TrimEnd('\')
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

# Moves a program aside and returns its new path, because Windows replaces no file of a running program,
# but renames it.
function Move-Aside([string]$Path) {
    if (-not (Test-Path -LiteralPath $Path)) { return }
    $aside = '{0}.old-{1}' -f $Path, [Guid]::NewGuid().ToString('N')
    Move-Item -LiteralPath $Path -Destination $aside
    return $aside
}

function Install-Program([string]$From, [string]$To) {
    $new = "$To.new"
    Copy-Item -LiteralPath $From -Destination $new -Force
    # The mark of a browser on a downloaded file; Windows would ask before it starts the program.
    Unblock-File -LiteralPath $new
    $aside = Move-Aside $To
    try {
        Move-Item -LiteralPath $new -Destination $To
    } catch {
        if ($aside) { Move-Item -LiteralPath $aside -Destination $To }
        throw
    }
}

# Leaves those that are running.
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
    foreach ($name in $names) { Move-Aside (Join-Path $Prefix $name) | Out-Null }
    Remove-Item -LiteralPath $completion -ErrorAction SilentlyContinue
    Remove-OldPrograms
    Set-UserPath @(Get-UserPath | Where-Object { $_ -ne $Prefix })
    if (-not (Get-ChildItem -LiteralPath $Prefix -Force)) { Remove-Item -LiteralPath $Prefix }
    else { Write-Output "$Prefix is left: it has files that are in use, or not of hfdl" }
    Write-Output "removed from $Prefix; models, settings and a timer are left as they are"
    exit 0
}

$from = Find-Programs
foreach ($name in $names) {
    if (-not (Test-Path -LiteralPath (Join-Path $from $name))) { throw "there is no $name in $from" }
}
$version = & (Join-Path $from 'hfdl.exe') --version
if ($LASTEXITCODE -ne 0) { throw "hfdl.exe in $from does not start: exit code $LASTEXITCODE" }
New-Item -ItemType Directory -Force -Path $Prefix | Out-Null
foreach ($name in $names) { Install-Program (Join-Path $from $name) (Join-Path $Prefix $name) }
Remove-OldPrograms
$installed = Join-Path $Prefix 'hfdl.exe'
& $installed completions powershell | Set-Content -LiteralPath $completion -Encoding UTF8
$folders = @(Get-UserPath)
if ($folders -notcontains $Prefix) { Set-UserPath ($folders + $Prefix) }

Write-Output "$version is installed as $installed"
Write-Output 'PATH has it in the next terminal that you open'
Write-Output "for completion add this line to your profile: . '$completion'"
Write-Output 'next: hfdl models add org/name, hfdl schedules add, hfdl start'
