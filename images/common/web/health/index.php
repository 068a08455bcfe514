<?php
// GET /e5b-health: whether the web server, PHP and the database answer, whatever is held or asked for. Not behind
// the gate, writes nothing.

header('Cache-Control: no-store');
header('Content-Type: text/plain; charset=utf-8');
mysqli_report(MYSQLI_REPORT_OFF);
$database = mysqli_init();
$database->options(MYSQLI_OPT_CONNECT_TIMEOUT, 1);
$database->options(MYSQLI_OPT_READ_TIMEOUT, 1);
if (@$database->real_connect('localhost', 'www-data') && @$database->query('SELECT 1')) {
    echo "ok\n";
} else {
    http_response_code(503);
    echo "the database does not answer\n";
}
