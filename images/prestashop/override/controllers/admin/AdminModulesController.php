<?php

/**
 * A module's own page of settings opens to a profile that holds the right to configure this module, without the right
 * to the module manager, where modules are added, removed and disabled.
 */
class AdminModulesController extends AdminModulesControllerCore
{
    public function access($action, $disable = false)
    {
        if (parent::access($action, $disable)) {
            return true;
        }
        $name = Tools::getValue('configure');
        $other = array_filter(['install', 'uninstall', 'enable', 'disable', 'reset', 'delete', 'download', 'addnewmodule'], [Tools::class, 'getIsset']);
        if (!in_array($action, ['view', 'edit'], true) || !is_string($name) || $name === '' || $other) {
            return false;
        }
        $module = Module::getInstanceByName($name);

        return $module && $module->getPermission('configure');
    }
}
