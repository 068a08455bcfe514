<?php
/*
 * What the installer draws or dates makes two builds from the same inputs differ: here it gets values that do not change
 * from build to build. Keys that protect something (app/config/parameters.php) stay drawn. The database is running.
 */

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$name = trim(file_get_contents('/opt/e5b/site/database'));
$database = new mysqli('localhost', 'www-data', '', $name);
$database->query("SET SESSION sql_mode = ''");

// A password's form that no password has: nobody logs in as a customer or as the webmaster.
$nobody = '$2y$10$' . str_repeat('.', 53);
$described = json_decode(file_get_contents('/opt/e5b/site/site.json'), true);
$candidate = crypt($described['password'], '$2y$10$tisanesDuClosVerdier2O');
foreach ([
    "UPDATE ps_customer SET passwd = '$nobody', secure_key = MD5(CONCAT('clos-verdier ', email))",
    "UPDATE ps_cart c JOIN ps_customer p ON p.id_customer = c.id_customer SET c.secure_key = p.secure_key",
    "UPDATE ps_orders o JOIN ps_customer p ON p.id_customer = o.id_customer SET o.secure_key = p.secure_key",
    "UPDATE ps_employee SET passwd = '$nobody' WHERE email <> '{$described['login']}'",
    "UPDATE ps_employee SET passwd = '$candidate' WHERE email = '{$described['login']}'",
    "UPDATE ps_product_sale SET date_upd = '2026-10-28'",
    "UPDATE ps_configuration SET value = '2026060109000000' WHERE name IN ('NW_SALT', 'PS_NEWSLETTER_RAND')",
] as $statement) {
    $database->query($statement);
}

// The day of the build becomes the day on which the organisation began with its shop. The shop's clock and the
// server's are hours apart, and a password is said to be hours older than it is.
[$begun] = $database->query(
    "SELECT MIN(create_time) - INTERVAL 1 DAY FROM information_schema.tables WHERE table_schema = '$name'"
)->fetch_row();
$columns = $database->query(
    "SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = '$name' AND data_type IN ('datetime', 'timestamp')"
)->fetch_all();
$tables = [];
foreach ($columns as [$table, $column]) {
    $tables[$table][] = "`$column` = IF(`$column` BETWEEN '$begun' AND NOW() + INTERVAL 3 HOUR,"
        . " '2026-06-01 09:00:00', `$column`)";
}
// All of a table at once: a column that follows the last change is then left alone.
foreach ($tables as $table => $steady) {
    $database->query("UPDATE `$table` SET " . implode(', ', $steady));
}
