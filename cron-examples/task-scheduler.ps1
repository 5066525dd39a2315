# Registers a task that starts hfdl every quarter of an hour, in PowerShell and without an XML file.
#
# When to use: in a set-up script for Windows. On one machine `hfdl start` does the same.
# Run it as the user whose models they are; it needs no administrator. Remove the task with
# `Unregister-ScheduledTask -TaskName hfdl`.

$action = New-ScheduledTaskAction -Execute "$env:ProgramFiles\hfdl\hfdlw.exe" -Argument 'run-due --trigger timer'
$trigger = New-ScheduledTaskTrigger -Once -At '2025-01-01T00:07:00' -RepetitionInterval (New-TimeSpan -Minutes 15)
$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -StartWhenAvailable -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -ExecutionTimeLimit ([TimeSpan]::Zero) -Priority 7
Register-ScheduledTask -TaskName hfdl -Action $action -Trigger $trigger -Settings $settings -Description 'hfdl: look for due downloads every 15 minutes'
