<?php

declare(strict_types=1);

/**
 * One value for each table: number of rows and 128 bits that cover its definition and its rows.
 *
 * Every row becomes a digest here rather than in SQL: `serialize` keeps NULL apart from the empty string and
 * column boundaries apart from content, and the sorted list of digests does not depend on the order of rows
 * while two equal rows do not cancel out. All the statements go to the server in one piece, because two
 * hundred and fifty tables are five hundred statements.
 *
 * @return array<string, string>
 */
function table_values(mysqli $database, Volatile $volatile): array
{
    // Bytes as they are stored, and times that do not depend on where the server believes it is.
    $database->query("SET SESSION character_set_results = NULL, time_zone = '+00:00'");
    $database->query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
    $names = array_column($database->query('SHOW TABLES')->fetch_all(), 0);
    sort($names, SORT_STRING);
    if ($names === []) {
        return [];
    }
    $statements = [];
    foreach ($names as $name) {
        $quoted = '`' . str_replace('`', '``', $name) . '`';
        $kept = isset($volatile->rows[$name]) ? ' WHERE ' . $volatile->rows[$name] : '';
        $statements[] = "SHOW CREATE TABLE $quoted; SELECT * FROM $quoted$kept";
    }
    $database->multi_query(implode(";\n", $statements));

    $values = [];
    foreach ($names as $name) {
        $result = $database->use_result();
        // The next automatic number is a trace of rows that came and went, not content.
        $definition = preg_replace('~ AUTO_INCREMENT=\d+~', '', $result->fetch_row()[1]);
        $result->free();
        $database->next_result();

        $result = $database->use_result();
        $left_out = [];
        if (isset($volatile->columns[$name])) {
            $left_out = array_keys(array_intersect(
                array_column($result->fetch_fields(), 'name'),
                $volatile->columns[$name]
            ));
        }
        $digests = [];
        while ($row = $result->fetch_row()) {
            foreach ($left_out as $column) {
                unset($row[$column]);
            }
            $digests[] = hash('sha256', serialize($row), true);
        }
        $result->free();
        if ($database->more_results()) {
            $database->next_result();
        }
        sort($digests, SORT_STRING);
        $values[$name] = count($digests) . ':'
            . substr(hash('sha256', $definition . "\0" . implode('', $digests)), 0, 32);
    }
    $database->query('COMMIT');
    return $values;
}
