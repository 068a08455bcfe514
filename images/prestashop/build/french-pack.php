<?php
/*
 * Makes a language pack out of a list "English<TAB>French": every domain of the release's own catalogue that holds
 * one of these sentences gets a file with the French for them. It is what the installer would have downloaded, with
 * less in it.
 *
 *   php french-pack.php SITE LIST
 */

[, $site, $list] = $argv;

$french = [];
foreach (file($list, FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES) as $line) {
    [$source, $target] = explode("\t", $line, 2);
    $french[$source] = $target;
}

$pack = new ZipArchive();
$pack->open("$site/translations/sf-fr-FR.zip", ZipArchive::CREATE | ZipArchive::OVERWRITE);
$pack->addFromString('fr-FR/index.php', "<?php\n");
$used = [];
foreach (glob("$site/translations/default/*.xlf") as $catalogue) {
    $domain = basename($catalogue, '.xlf');
    $units = '';
    foreach (simplexml_load_file($catalogue)->file as $file) {
        foreach ($file->body->{'trans-unit'} as $unit) {
            $source = (string) $unit->source;
            if (isset($french[$source])) {
                $used[$source] = true;
                $units .= sprintf(
                    "<trans-unit id=\"%s\"><source>%s</source><target>%s</target></trans-unit>\n",
                    md5($source), htmlspecialchars($source, ENT_XML1), htmlspecialchars($french[$source], ENT_XML1)
                );
            }
        }
    }
    // An empty catalogue too: the translator then knows the domain, and a translation made in the shop is found.
    $pack->addFromString("fr-FR/$domain.fr-FR.xlf", '<?xml version="1.0" encoding="UTF-8"?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2">
<file original="e5b" source-language="en-US" target-language="fr-FR" datatype="plaintext"><body>
' . $units . "</body></file>\n</xliff>\n");
}
$pack->close();
foreach (array_diff_key($french, $used) as $source => $target) {
    fwrite(STDERR, "french.tsv: nothing in this release says \"$source\"\n");
}
