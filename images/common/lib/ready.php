<?php

declare(strict_types=1);

/** Returns once the site can be shown to a candidate; throws when the seconds are over, saying what is missing. */
function wait_until_ready(float $timeout): void
{
    $deadline = microtime(true) + $timeout;
    do {
        $missing = missing($deadline);
        if ($missing === null) {
            return;
        }
        usleep(20_000);
    } while (microtime(true) < $deadline);
    throw new RuntimeException("not ready after $timeout s: $missing");
}

function missing(float $deadline): ?string
{
    if (!file_exists(STATE . '/open')) {
        return 'the site has not been given its address yet';
    }
    if (!file_exists('/run/mysqld/mysqld.sock')) {
        return 'the database has not started';
    }
    try {
        database()->query('SELECT 1');
    } catch (mysqli_sql_exception $refusal) {
        return 'the database does not answer (' . $refusal->getMessage() . ')';
    }
    $url = file_get_contents(STATE . '/url');
    $server = @stream_socket_client('tcp://127.0.0.1:80', $code, $reason, 1);
    if ($server === false) {
        return "the web server does not answer ($reason)";
    }
    $host = preg_replace('~^https?://~', '', $url);
    fwrite($server, "GET / HTTP/1.0\r\nHost: $host\r\nUser-Agent: e5b-ready\r\n\r\n");
    $answer = '';
    while (!feof($server) && ($left = $deadline - microtime(true)) > 0) {
        stream_set_timeout($server, (int) $left, (int) (fmod($left, 1) * 1e6));
        $answer .= fread($server, 65536);
        if (stream_get_meta_data($server)['timed_out']) {
            return 'the home page did not come in time';
        }
    }
    $status = strtok($answer, "\r\n") ?: 'nothing';
    if (!preg_match('~^HTTP/1\.[01] 200 ~', $status)) {
        return "the home page answers $status";
    }
    return str_contains(str_replace('\\/', '/', $answer), $url) ? null : "the home page does not know the address $url";
}
