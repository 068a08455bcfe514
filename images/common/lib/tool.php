<?php
// What every executable of the contract shares: one sentence on standard error when it fails,
// the paths of the image, and the way to the database.

declare(strict_types=1);

const E5B = '/opt/e5b';
const MANIFEST = E5B . '/reference/manifest';
const STATE = '/run/e5b';

set_error_handler(static function (int $level, string $message): bool {
    if (!(error_reporting() & $level)) {
        return false; // silenced on purpose by @
    }
    throw new RuntimeException($message);
});
set_exception_handler(static function (Throwable $problem): void {
    $name = basename($_SERVER['SCRIPT_NAME'] ?? 'e5b');
    fwrite(STDERR, $name . ': ' . str_replace("\n", ' ', $problem->getMessage()) . "\n");
    exit(1);
});

/** @return array<string, string|true> the options given, after refusing any other */
function options(array $allowed): array
{
    $given = array_slice($_SERVER['argv'], 1);
    $found = [];
    while ($given) {
        $name = array_shift($given);
        [$name, $value] = array_pad(explode('=', $name, 2), 2, null);
        if (!isset($allowed[$name])) {
            throw new RuntimeException("unknown argument $name");
        }
        if ($allowed[$name] === 'seconds') {
            $value ??= array_shift($given);
            if (!is_numeric($value) || $value < 0) {
                throw new RuntimeException("$name wants a number of seconds");
            }
        }
        $found[$name] = $value ?? true;
    }
    return $found;
}

function database_name(): string
{
    return trim(file_get_contents(E5B . '/site/database'));
}

function database(): mysqli
{
    $database = new mysqli('localhost', 'root', '', database_name(), 0, '/run/mysqld/mysqld.sock');
    $database->set_charset('utf8mb4');
    return $database;
}

/** Runs a program to its end; its standard error becomes the message when it fails. */
function run(array $command, ?string $input = null, ?string $output = null): void
{
    $errors = tmpfile();
    $process = proc_open($command, [
        ['file', $input ?? '/dev/null', 'r'],
        $output === null ? STDERR : ['file', $output, 'w'],
        $errors,
    ], $pipes);
    if (proc_close($process) !== 0) {
        rewind($errors);
        $said = trim(stream_get_contents($errors));
        throw new RuntimeException($command[0] . ' failed' . ($said === '' ? '' : ": $said"));
    }
}
